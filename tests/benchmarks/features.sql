-- The default catalogue by hand for DuckDB: what someone writes who knows the features, the data and the engine.
-- How it runs over 10,000,000 touchpoints is in features.plan.txt (tests.benchmarks.feature_run renews it).
-- Reads the views touchpoints, leads, lead_cycles, stage_changes, lead_attributes, account_attributes and rows.
-- It may rely on what the generated data are: Tokyo's fixed offset, no merges, no two records of a lead at one
-- microsecond. The product may not.
CREATE OR REPLACE TABLE by_hand AS
WITH standing AS MATERIALIZED (
    SELECT row_number() OVER () AS id, r.*, l.account_id, l.occurred_at AS created
    FROM rows r
    LEFT JOIN leads l ON l.lead_id = r.lead_id AND l.occurred_at < r.as_of AND l.recorded_at < r.as_of
),
touches AS (
    SELECT lead_id, occurred_at, recorded_at, kind, channel, campaign_id, actor = 'company' AS ours,
           actor = 'lead' AND kind <> 'email_unsubscribed' AS mine, actor = 'lead' AS lead
    FROM touchpoints
),
pairs AS (
    SELECT s.id, s.as_of - t.occurred_at AS age, (s.as_of + 32400000000) // 86400000000 AS today, t.*,
           (t.occurred_at + 32400000000) // 86400000000 AS day
    FROM standing s JOIN touches t USING (lead_id)
    WHERE t.occurred_at < s.as_of AND t.recorded_at < s.as_of
),
own AS (
    SELECT id,
        count(*) FILTER (mine AND age <= 86400000000) AS n1,
        count(*) FILTER (mine AND age <= 604800000000) AS n7,
        count(*) FILTER (mine AND age <= 2592000000000) AS n30,
        count(*) FILTER (mine AND age <= 7776000000000) AS n90,
        count(*) FILTER (mine AND age <= 31536000000000) AS n365,
        count(*) FILTER (mine) AS n,
        count(*) FILTER (lead AND kind = 'pricing_view' AND age <= 604800000000) AS pricing7,
        count(*) FILTER (lead AND kind = 'pricing_view' AND age <= 2592000000000) AS pricing30,
        count(*) FILTER (lead AND kind = 'page_view' AND age <= 604800000000) AS page7,
        count(*) FILTER (lead AND kind = 'page_view' AND age <= 2592000000000) AS page30,
        count(*) FILTER (lead AND kind = 'download' AND age <= 7776000000000) AS downloads90,
        count(*) FILTER (lead AND kind IN ('seminar', 'trade_show') AND age <= 31536000000000) AS events365,
        count(*) FILTER (lead AND kind = 'email_opened' AND age <= 2592000000000) AS opens30,
        count(*) FILTER (lead AND kind = 'email_clicked' AND age <= 2592000000000) AS clicks30,
        count(*) FILTER (lead AND kind = 'inquiry' AND age <= 2592000000000) AS inquiries30,
        count(*) FILTER (lead AND kind = 'inquiry') AS inquiries,
        count(*) FILTER (lead AND kind IN ('call', 'meeting') AND age <= 7776000000000) AS talks90,
        count(*) FILTER (lead AND kind = 'ad_click' AND age <= 2592000000000) AS ads30,
        min(age) FILTER (mine) AS last_any,
        min(age) FILTER (lead AND kind = 'pricing_view') AS last_pricing,
        min(age) FILTER (lead AND kind = 'download') AS last_download,
        min(age) FILTER (lead AND kind IN ('seminar', 'trade_show')) AS last_event,
        min(age) FILTER (lead AND kind = 'email_clicked') AS last_click,
        min(age) FILTER (lead AND kind = 'inquiry') AS last_inquiry,
        max(age) FILTER (mine) AS first_any,
        sum(floor(1e6 * pow(2, -(age // 3600000000) / 168.0) + 0.5)::BIGINT) FILTER (mine) AS decayed7,
        sum(floor(1e6 * pow(2, -(age // 3600000000) / 720.0) + 0.5)::BIGINT) FILTER (mine) AS decayed30,
        sum(floor(1e6 * pow(2, -(age // 3600000000) / 336.0) + 0.5)::BIGINT) FILTER (
            lead AND kind IN ('pricing_view', 'download', 'inquiry', 'meeting', 'seminar')) AS decayed14,
        count(DISTINCT day) FILTER (mine AND age <= 2592000000000) AS days30,
        count(DISTINCT kind) FILTER (mine AND age <= 7776000000000) AS kinds90,
        bit_or(1::BIGINT << ((today + 3) // 7 - (day + 3) // 7)::INT) FILTER (
            mine AND (today + 3) // 7 - (day + 3) // 7 <= 26) AS weeks,
        count(*) FILTER (lead AND kind = 'email_clicked') AS clicks,
        count(*) FILTER (kind = 'email_sent') AS sent,
        count(*) FILTER (lead AND kind = 'email_unsubscribed') AS unsubscribes,
        count(*) FILTER (ours AND kind = 'email_sent') AS sent_by_us,
        count(*) FILTER (ours AND kind IN ('call', 'meeting')) AS contacts,
        arg_min(channel, occurred_at) FILTER (mine AND channel IS NOT NULL) AS first_channel,
        arg_min(campaign_id, occurred_at) FILTER (mine AND campaign_id IS NOT NULL) AS first_campaign,
        arg_max(channel, occurred_at) FILTER (mine AND channel IS NOT NULL) AS last_channel,
        arg_max(campaign_id, occurred_at) FILTER (mine AND campaign_id IS NOT NULL) AS last_campaign
    FROM pairs GROUP BY id
),
stages AS (
    SELECT id, arg_max(c.stage, c.occurred_at) AS stage, max(c.occurred_at) AS entered
    FROM standing s JOIN stage_changes c USING (lead_id)
    WHERE c.occurred_at < s.as_of AND c.recorded_at < s.as_of AND c.occurred_at >= s.cycle_start
    GROUP BY id
),
returns AS (
    SELECT id, arg_max(c.reason, c.occurred_at) AS reason
    FROM standing s JOIN stage_changes c USING (lead_id)
    WHERE c.occurred_at < s.as_of AND c.recorded_at < s.as_of
        AND c.stage IN ('recycled', 'lost', 'disqualified') AND c.reason IS NOT NULL
    GROUP BY id
),
cycles AS (
    SELECT id, count(*) AS cycles FROM standing s JOIN lead_cycles c USING (lead_id)
    WHERE c.occurred_at < s.as_of AND c.recorded_at < s.as_of
    GROUP BY id
),
of_lead AS (
    SELECT id,
        arg_max(text, a.occurred_at) FILTER (name = 'channel') AS channel,
        arg_max(text, a.occurred_at) FILTER (name = 'campaign') AS campaign,
        arg_max(text, a.occurred_at) FILTER (name = 'job_title_band') AS job_title_band,
        arg_max(text, a.occurred_at) FILTER (name = 'department') AS department,
        arg_max(text, a.occurred_at) FILTER (name = 'free_mail') AS free_mail,
        arg_max(text, a.occurred_at) FILTER (name = 'mail_matches_account') AS mail_matches_account,
        arg_max(number, a.occurred_at) FILTER (name = 'message_length') AS message_length
    FROM standing s JOIN lead_attributes a USING (lead_id)
    WHERE a.occurred_at < s.as_of AND a.recorded_at < s.as_of
      AND name IN ('channel', 'campaign', 'job_title_band', 'department', 'free_mail', 'mail_matches_account', 'message_length')
    GROUP BY id
),
moments AS MATERIALIZED (
    SELECT row_number() OVER () AS moment, account_id, as_of
    FROM (SELECT DISTINCT account_id, as_of FROM standing WHERE account_id IS NOT NULL)
),
of_account AS (
    SELECT moment,
        arg_max(text, a.occurred_at) FILTER (name = 'industry') AS industry,
        arg_max(text, a.occurred_at) FILTER (name = 'employee_band') AS employee_band,
        arg_max(number, a.occurred_at) FILTER (name = 'employees') AS employees,
        arg_max(text, a.occurred_at) FILTER (name = 'prefecture') AS prefecture,
        arg_max(text, a.occurred_at) FILTER (name = 'country') AS country,
        arg_max(number, a.occurred_at) FILTER (name = 'annual_revenue') AS annual_revenue
    FROM moments m JOIN account_attributes a USING (account_id)
    WHERE a.occurred_at < m.as_of AND a.recorded_at < m.as_of
    GROUP BY moment
),
members AS MATERIALIZED (
    SELECT row_number() OVER () AS member, m.moment, m.as_of, l.lead_id
    FROM moments m JOIN leads l USING (account_id)
    WHERE l.occurred_at < m.as_of AND l.recorded_at < m.as_of
),
member_touches AS (
    SELECT member, count(*) FILTER (m.as_of - t.occurred_at <= 2592000000000) AS n30, count(*) AS n365
    FROM members m JOIN touches t USING (lead_id)
    WHERE t.mine AND t.occurred_at < m.as_of AND t.recorded_at < m.as_of
      AND t.occurred_at >= m.as_of - 31536000000000
    GROUP BY member
),
member_values AS (
    SELECT member,
        arg_max(text, a.occurred_at) FILTER (name = 'department') AS department,
        arg_max(text, a.occurred_at) FILTER (name = 'job_title_band') AS band
    FROM members m JOIN lead_attributes a USING (lead_id)
    WHERE name IN ('department', 'job_title_band') AND a.occurred_at < m.as_of AND a.recorded_at < m.as_of
    GROUP BY member
),
account AS (
    SELECT m.moment, count(*) - 1 AS others, coalesce(sum(t.n30), 0) AS n30, coalesce(sum(t.n365), 0) AS n365,
        count(DISTINCT v.department) FILTER (t.n365 > 0) AS departments,
        coalesce(max((v.band IN ('役員', '部長'))::INT), 0) AS decision_maker
    FROM members m LEFT JOIN member_touches t USING (member) LEFT JOIN member_values v USING (member)
    GROUP BY m.moment
),
clock AS (
    SELECT id, (created + 32400000000) // 3600000000 % 24 AS hour, ((created + 32400000000) // 86400000000 + 3) % 7 AS weekday,
        month(make_timestamp(created + 32400000000)) AS month,
        make_timestamp(as_of + 32400000000)::DATE AS today
    FROM standing
),
runs AS (SELECT id, CASE WHEN weeks & 1 = 1 THEN weeks ELSE weeks >> 1 END AS run FROM own)
SELECT s.lead_id, s.cycle_id, s.cycle_start, s.as_of,
    coalesce(o.n1, 0)::DOUBLE AS touchpoints_1d_count,
    coalesce(o.n7, 0)::DOUBLE AS touchpoints_7d_count,
    coalesce(o.n30, 0)::DOUBLE AS touchpoints_30d_count,
    coalesce(o.n90, 0)::DOUBLE AS touchpoints_90d_count,
    coalesce(o.n365, 0)::DOUBLE AS touchpoints_365d_count,
    coalesce(o.n, 0)::DOUBLE AS touchpoints_ever_count,
    coalesce(o.pricing7, 0)::DOUBLE AS pricing_views_7d_count,
    coalesce(o.pricing30, 0)::DOUBLE AS pricing_views_30d_count,
    coalesce(o.page7, 0)::DOUBLE AS page_views_7d_count,
    coalesce(o.page30, 0)::DOUBLE AS page_views_30d_count,
    coalesce(o.downloads90, 0)::DOUBLE AS downloads_90d_count,
    coalesce(o.events365, 0)::DOUBLE AS events_365d_count,
    coalesce(o.opens30, 0)::DOUBLE AS email_opens_30d_count,
    coalesce(o.clicks30, 0)::DOUBLE AS email_clicks_30d_count,
    coalesce(o.inquiries30, 0)::DOUBLE AS inquiries_30d_count,
    coalesce(o.inquiries, 0)::DOUBLE AS inquiries_ever_count,
    coalesce(o.talks90, 0)::DOUBLE AS talks_90d_count,
    coalesce(o.ads30, 0)::DOUBLE AS ad_clicks_30d_count,
    o.last_any / 86400000000 AS days_since_last_touchpoint,
    o.last_pricing / 86400000000 AS days_since_last_pricing_view,
    o.last_download / 86400000000 AS days_since_last_download,
    o.last_event / 86400000000 AS days_since_last_event,
    o.last_click / 86400000000 AS days_since_last_email_click,
    o.last_inquiry / 86400000000 AS days_since_last_inquiry,
    o.first_any / 86400000000 AS days_since_first_touchpoint,
    coalesce(o.decayed7, 0)::BIGINT / 1000000 AS touchpoints_decayed_7d,
    coalesce(o.decayed30, 0)::BIGINT / 1000000 AS touchpoints_decayed_30d,
    coalesce(o.decayed14, 0)::BIGINT / 1000000 AS strong_interest_decayed_14d,
    (coalesce(o.n30, 0) * 3 - coalesce(o.n90, 0))::DOUBLE AS touchpoints_90d_trend,
    coalesce(o.days30, 0)::DOUBLE AS active_days_30d,
    coalesce(o.kinds90, 0)::DOUBLE AS touchpoint_kinds_90d,
    -- The ones at the low end of the bits; the week of as_of may have none yet.
    least(coalesce(bit_count(xor(u.run, u.run + 1) >> 1), 0), 26)::DOUBLE AS active_weeks,
    o.clicks / nullif(o.sent, 0) AS email_clicks_per_sent,
    coalesce(o.unsubscribes, 0)::DOUBLE AS email_unsubscribes_ever_count,
    coalesce(o.sent_by_us, 0)::DOUBLE AS emails_sent_ever_count,
    coalesce(o.contacts, 0)::DOUBLE AS contacts_by_company_ever_count,
    o.first_channel AS first_touch_channel,
    o.first_campaign AS first_touch_campaign,
    o.last_channel AS last_touch_channel,
    o.last_campaign AS last_touch_campaign,
    g.stage,
    (s.as_of - g.entered) / 86400000000 AS stage_age,
    (s.as_of - s.cycle_start) / 86400000000 AS lead_age,
    (c.cycles - 1)::DOUBLE AS times_recycled,
    h.reason AS return_reason,
    (a.n30 - coalesce(o.n30, 0))::DOUBLE AS account_touchpoints_30d_count,
    (a.n365 - coalesce(o.n365, 0))::DOUBLE AS account_touchpoints_365d_count,
    a.others::DOUBLE AS account_other_leads,
    a.departments::DOUBLE AS account_departments_365d,
    a.decision_maker::DOUBLE AS account_decision_maker_seen,
    l.channel, l.campaign, l.job_title_band, l.department, l.free_mail, l.mail_matches_account, l.message_length,
    b.industry, b.employee_band, b.employees, b.prefecture, b.country, b.annual_revenue,
    (l.job_title_band IS NULL)::INT::DOUBLE AS job_title_band_missing,
    (l.message_length IS NULL)::INT::DOUBLE AS message_length_missing,
    (b.industry IS NULL)::INT::DOUBLE AS industry_missing,
    (b.employee_band IS NULL)::INT::DOUBLE AS employee_band_missing,
    k.hour::DOUBLE AS creation_hour,
    k.weekday::DOUBLE AS creation_weekday,
    k.month::DOUBLE AS creation_month,
    -- The fiscal year begins in April: its quarters are the calendar's.
    date_diff('day', k.today, (date_trunc('quarter', k.today) + INTERVAL 3 MONTH)::DATE)::DOUBLE AS days_to_quarter_end
FROM standing s
LEFT JOIN own o ON o.id = s.id
LEFT JOIN runs u ON u.id = s.id
LEFT JOIN stages g ON g.id = s.id
LEFT JOIN cycles c ON c.id = s.id
LEFT JOIN returns h ON h.id = s.id
LEFT JOIN of_lead l ON l.id = s.id
LEFT JOIN clock k ON k.id = s.id
LEFT JOIN moments m ON m.account_id = s.account_id AND m.as_of = s.as_of
LEFT JOIN of_account b ON b.moment = m.moment
LEFT JOIN account a ON a.moment = m.moment
ORDER BY s.lead_id, s.as_of
