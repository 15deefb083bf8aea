with

visits as (

    select * from {{ source('bronze', 'web_probes') }}

),

scope as (

    select * from {{ scope() }}

)

select
    visits.wave,
    visits.line_id,
    visits.probe_id as unit_id,
    visits.probe_id,
    visits.scenario_code,
    visits.probe_kind,
    visits.platform,
    visits.reachable,
    visits.stable,
    visits.registered,
    visits.acknowledged,
    visits.content_rich,
    visits.keyword_hit,
    visits.navigation_hit,
    visits.bot_present,
    visits.resolved,
    case when visits.submitted_at is null then 'no' else 'yes' end as submitted,
    case when visits.replied_at is null then 'no' else 'yes' end as replied,
    case when visits.replied_at is null then 'no_reply' else visits.reply_wording end as reply_wording,
    case when visits.replied_at is null then 'no_reply' else visits.reply_quality end as reply_quality,
    {{ minutes_between('visits.submitted_at', 'visits.replied_at') }} as reply_minutes
from visits
inner join scope on visits.wave = scope.wave and visits.line_id = scope.line_id
