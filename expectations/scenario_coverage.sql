-- one row per line and scenario: how many planned phone probes and web inspections it has
with

frame as (

    select
        lines.line_id,
        scenarios.scenario_code
    from lines
    inner join scenarios on lines.wave = scenarios.wave
    where lines.wave = $wave

),

planned as (

    select
        line_id,
        scenario_code,
        count(distinct probe_id) as n_phone_probes
    from dial_attempts
    where wave = $wave and probe_id is not null
    group by line_id, scenario_code

),

inspected as (

    select
        line_id,
        scenario_code,
        count(*) as n_inspections
    from web_probes
    where wave = $wave and probe_kind = 'inspection'
    group by line_id, scenario_code

)

select
    frame.line_id,
    frame.scenario_code,
    coalesce(planned.n_phone_probes, 0) as n_phone_probes,
    coalesce(inspected.n_inspections, 0) as n_inspections
from frame
left join planned on frame.line_id = planned.line_id and frame.scenario_code = planned.scenario_code
left join inspected on frame.line_id = inspected.line_id and frame.scenario_code = inspected.scenario_code
