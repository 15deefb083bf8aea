-- one row per phone probe, planned or completed: its diallings against its questionnaire
with

planned as (

    select
        probe_id,
        min(line_id) as line_id,
        min(scenario_code) as scenario_code,
        -- as a count of distinct targets would say, in a third of its time
        min(line_id) = max(line_id) and min(scenario_code) = max(scenario_code) as is_one_target,
        count(*) filter (where connected = 'yes') as n_connected
    from dial_attempts
    where wave = $wave and probe_id is not null
    group by probe_id

),

completed as (

    select
        probe_id,
        line_id,
        scenario_code
    from phone_probes
    where wave = $wave

),

paired as (

    select
        coalesce(completed.probe_id, planned.probe_id) as probe_id,
        coalesce(completed.line_id, planned.line_id) as line_id,
        coalesce(planned.n_connected, 0) as n_connected,
        completed.probe_id is not null as is_completed,
        coalesce(planned.is_one_target, false)
        and (
            completed.probe_id is null
            or (completed.line_id = planned.line_id and completed.scenario_code = planned.scenario_code)
        ) as is_same_target
    from planned
    full outer join completed on planned.probe_id = completed.probe_id

)

select
    probe_id,
    line_id,
    n_connected,
    cast(is_completed as integer) as n_questionnaires,
    cast(is_completed and n_connected = 0 as integer) as is_questionnaire_without_call,
    cast(not is_completed and n_connected > 0 as integer) as is_call_without_questionnaire,
    cast(not is_same_target as integer) as is_other_target
from paired
