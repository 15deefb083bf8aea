with

visits as (

    select * from {{ source('bronze', 'web_probes') }}

)

select
    wave,
    line_id,
    probe_id as unit_id,
    probe_id,
    scenario_code,
    probe_kind,
    platform,
    reachable,
    stable,
    registered,
    acknowledged,
    content_rich,
    keyword_hit,
    navigation_hit,
    bot_present,
    resolved,
    case when submitted_at is null then 'no' else 'yes' end as submitted,
    case when replied_at is null then 'no' else 'yes' end as replied,
    case when replied_at is null then 'no_reply' else reply_wording end as reply_wording,
    case when replied_at is null then 'no_reply' else reply_quality end as reply_quality,
    {{ minutes_between('submitted_at', 'replied_at') }} as reply_minutes
from visits
