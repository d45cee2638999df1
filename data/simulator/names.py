"""Invented people and companies, written in two scripts. Any likeness is chance.

Mail and web domains lie under domains reserved for examples; Japanese
telephone numbers begin their local part with 0 and American and British ones
come from the ranges kept for fiction, so that none can be dialled. A few
free-mail addresses use a real provider's domain with a local part longer than
it allows, so that none can exist.
"""

from __future__ import annotations

SURNAMES = (
    ("佐藤", "サトウ", "sato"), ("鈴木", "スズキ", "suzuki"), ("高橋", "タカハシ", "takahashi"),
    ("髙橋", "タカハシ", "takahashi"), ("田中", "タナカ", "tanaka"), ("伊藤", "イトウ", "ito"),
    ("渡辺", "ワタナベ", "watanabe"), ("渡邉", "ワタナベ", "watanabe"), ("山本", "ヤマモト", "yamamoto"),
    ("中村", "ナカムラ", "nakamura"), ("小林", "コバヤシ", "kobayashi"), ("加藤", "カトウ", "kato"),
    ("吉田", "ヨシダ", "yoshida"), ("山田", "ヤマダ", "yamada"), ("佐々木", "ササキ", "sasaki"),
    ("山口", "ヤマグチ", "yamaguchi"), ("松本", "マツモト", "matsumoto"), ("井上", "イノウエ", "inoue"),
    ("木村", "キムラ", "kimura"), ("林", "ハヤシ", "hayashi"), ("斎藤", "サイトウ", "saito"),
    ("齋藤", "サイトウ", "saito"), ("清水", "シミズ", "shimizu"), ("山崎", "ヤマザキ", "yamazaki"),
    ("山﨑", "ヤマザキ", "yamazaki"), ("阿部", "アベ", "abe"), ("森", "モリ", "mori"),
    ("池田", "イケダ", "ikeda"), ("橋本", "ハシモト", "hashimoto"), ("石川", "イシカワ", "ishikawa"),
    ("前田", "マエダ", "maeda"), ("藤田", "フジタ", "fujita"), ("岡田", "オカダ", "okada"),
    ("後藤", "ゴトウ", "goto"), ("長谷川", "ハセガワ", "hasegawa"), ("村上", "ムラカミ", "murakami"),
    ("近藤", "コンドウ", "kondo"), ("坂本", "サカモト", "sakamoto"), ("遠藤", "エンドウ", "endo"),
    ("青木", "アオキ", "aoki"), ("藤井", "フジイ", "fujii"), ("西村", "ニシムラ", "nishimura"),
    ("福田", "フクダ", "fukuda"), ("太田", "オオタ", "ota"), ("三浦", "ミウラ", "miura"),
    ("岡本", "オカモト", "okamoto"), ("松田", "マツダ", "matsuda"), ("中川", "ナカガワ", "nakagawa"),
    ("原田", "ハラダ", "harada"), ("小野", "オノ", "ono"), ("田村", "タムラ", "tamura"),
    ("竹内", "タケウチ", "takeuchi"), ("金子", "カネコ", "kaneko"), ("和田", "ワダ", "wada"),
)  # fmt: skip
GIVEN_NAMES = (
    ("健太", "ケンタ", "kenta"), ("大輔", "ダイスケ", "daisuke"), ("翔太", "ショウタ", "shota"),
    ("直樹", "ナオキ", "naoki"), ("浩二", "コウジ", "koji"), ("誠", "マコト", "makoto"),
    ("隆", "タカシ", "takashi"), ("和也", "カズヤ", "kazuya"), ("拓也", "タクヤ", "takuya"),
    ("亮", "リョウ", "ryo"), ("修", "オサム", "osamu"), ("聡", "サトシ", "satoshi"),
    ("裕介", "ユウスケ", "yusuke"), ("雄大", "ユウダイ", "yudai"), ("悠斗", "ユウト", "yuto"),
    ("陽子", "ヨウコ", "yoko"), ("美咲", "ミサキ", "misaki"), ("恵子", "ケイコ", "keiko"),
    ("真由美", "マユミ", "mayumi"), ("香織", "カオリ", "kaori"), ("由美", "ユミ", "yumi"),
    ("智子", "トモコ", "tomoko"), ("愛", "アイ", "ai"), ("彩香", "アヤカ", "ayaka"),
    ("千尋", "チヒロ", "chihiro"), ("さくら", "サクラ", "sakura"), ("麻衣", "マイ", "mai"),
    ("葵", "アオイ", "aoi"), ("遥", "ハルカ", "haruka"), ("優子", "ユウコ", "yuko"),
)  # fmt: skip
FOREIGN_SURNAMES = (
    "Smith", "Johnson", "Lee", "Tan", "Lim", "Chen", "Wang", "Lin", "Nguyen", "Tran", "Mueller", "Schmidt",
    "Brown", "Taylor", "Wilson", "Suwan", "Somchai", "Garcia", "Martin", "Weber",
)  # fmt: skip
FOREIGN_GIVEN_NAMES = (
    "James", "Mary", "Robert", "Linda", "Wei", "Mei", "Jun", "Hui", "Minh", "Anh", "Thomas", "Anna",
    "Oliver", "Emma", "Lukas", "Sophie", "Arthit", "Malee", "Daniel", "Grace",
)  # fmt: skip
COMPANY_STEMS = (
    ("暁野", "akatsukino"), ("蒼浜", "aohama"), ("桐ヶ峰", "kirigamine"), ("白鷺台", "shirasagidai"),
    ("瑞穂原", "mizuhohara"), ("千歳沢", "chitosezawa"), ("深山木", "miyamagi"), ("紅葉坂", "momijizaka"),
    ("汐見丘", "shiomigaoka"), ("朝霧野", "asagirino"), ("八雲台", "yakumodai"), ("若竹沢", "wakatakezawa"),
    ("常磐原", "tokiwahara"), ("銀杏平", "ichodaira"), ("星見浦", "hoshimiura"), ("夕凪島", "yunagijima"),
    ("松ヶ枝", "matsugae"), ("風早", "kazahaya"), ("水無瀬", "minase"), ("花ノ木", "hananoki"),
    ("月影", "tsukikage"), ("雲雀野", "hibarino"), ("青嵐", "seiran"), ("玉響", "tamayura"),
    ("ミライト野", "miraitono"), ("アサギリ", "asagiri"), ("ヒノモリ", "hinomori"), ("ソラノネ", "soranone"),
    ("オオルリ", "oruri"), ("ツバクロ", "tsubakuro"), ("黎明坂", "reimeizaka"), ("東雲台", "shinonomedai"),
    ("天塩川", "teshiokawa"), ("白妙", "shirotae"), ("葦原", "ashihara"), ("初瀬野", "hatsuseno"),
)  # fmt: skip
COMPANY_WORDS = (
    ("精機", "製作所", "工業", "化成"),
    ("システムズ", "ソフト", "情報サービス", "ネットワークス"),
    ("商事", "物産", "ストア", "トレーディング"),
    ("建設", "工務店", "設備", "住建"),
    ("運輸", "物流", "ロジ", "倉庫"),
    ("総研", "設計", "コンサルティング", "技研"),
    ("メディカル", "ケア", "福祉会", "クリニックサービス"),
    ("リース", "ファイナンス", "保険サービス", "キャピタル"),
)
"""By industry, in the order of `world.INDUSTRIES`."""
FOREIGN_STEMS = (
    "Northfjell", "Bluemoor", "Quillon", "Harrowgate", "Tessaly", "Orchidane", "Maplecrest", "Lumenfield",
    "Kestrelby", "Saffronia", "Veldhaven", "Pinecove", "Jadeport", "Monsoonex", "Redlotus", "Silverdune",
)  # fmt: skip
FOREIGN_WORDS = ("Systems", "Manufacturing", "Trading", "Logistics", "Partners", "Foods", "Robotics", "Textiles")
LEGAL_FORMS = ("", " Inc.", " Pte. Ltd.", " Co., Ltd.", " Co., Ltd.", " GmbH", " Ltd", " JSC")
"""By country, in the order of `world.COUNTRIES`; the first is not used."""

FREE_MAIL = "freemail.example.com"
REAL_FREE_MAIL = "gmail.com"
REAL_FREE_MAIL_LOCAL = "fictional.person.of.the.leadscore.simulator"
"""Longer than the 30 characters the provider allows."""
