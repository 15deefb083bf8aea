-- one row per line of the frame: what was delivered for it
with

frame as (

    select
        line_id,
        city
    from lines
    where wave = $wave

),

attempts as (

    select
        line_id,
        count(*) as n_attempts,
        count(distinct probe_id) as n_planned_probes
    from dial_attempts
    where wave = $wave
    group by line_id

),

visits as (

    select
        line_id,
        count(*) filter (where probe_kind = 'inspection') as n_inspections,
        count(*) filter (where probe_kind = 'submission') as n_submissions
    from web_probes
    where wave = $wave
    group by line_id

)

select
    frame.line_id,
    frame.city,
    coalesce(attempts.n_attempts, 0) as n_attempts,
    coalesce(attempts.n_planned_probes, 0) as n_planned_probes,
    coalesce(visits.n_inspections, 0) as n_inspections,
    coalesce(visits.n_submissions, 0) as n_submissions
from frame
left join attempts on frame.line_id = attempts.line_id
left join visits on frame.line_id = visits.line_id
