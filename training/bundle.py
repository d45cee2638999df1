"""A bundle is a trained scorer as data: LightGBM text, JSON, no code, no pickle.

    bundles/<hash>/
      manifest.json     target, horizon, as_of, snapshot, schema hash, sha256 of every other file
      schema.json       the declarations, in the order of the matrix columns, and the company's calendar
      encodings.json    category → smoothed out-of-fold log-odds, per category feature
      linear.json       coefficients of the linear part
      blend.json        prior margin and the weight of each part
      boosters/NN.txt   LightGBM models in native text
      calibration.json  slope and shift in margin space
      golden.json       rows with the margins and contributions they must give

The hash of a bundle is the sha256 of its manifest. Scoring here needs numpy
and lightgbm only.
"""
