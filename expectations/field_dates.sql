-- one row per call, dialling and visit: how many days it lies outside the field period
with

period as (

    select
        cast(period_start as date) as period_start,
        cast(period_end as date) as period_end
    from waves
    where wave = $wave

),

dated as (

    select
        'phone_probes' as table_name,
        probe_id as unit_id,
        line_id,
        cast(called_at as date) as field_date
    from phone_probes
    where wave = $wave
    union all
    select
        'dial_attempts' as table_name,
        attempt_id as unit_id,
        line_id,
        cast(dialled_at as date) as field_date
    from dial_attempts
    where wave = $wave
    union all
    select
        'web_probes' as table_name,
        probe_id as unit_id,
        line_id,
        cast(visited_at as date) as field_date
    from web_probes
    where wave = $wave

)

select
    dated.table_name,
    dated.unit_id,
    dated.line_id,
    cast(dated.field_date as varchar) as field_date,
    greatest(
        0,
        date_diff('day', dated.field_date, period.period_start),
        date_diff('day', period.period_end, dated.field_date)
    ) as days_outside_period
from dated
cross join period
