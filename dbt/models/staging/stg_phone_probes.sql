{%- set coded = [
    'greeting', 'tone', 'closing', 'listening', 'clarity', 'registered', 'ivr_ease',
    'answer_correct', 'answer_complete', 'responded'
] -%}

with

questionnaires as (

    select * from {{ source('bronze', 'phone_probes') }}

),

scope as (

    select * from {{ scope() }}

),

completed as (

    select questionnaires.*
    from questionnaires
    inner join scope on questionnaires.wave = scope.wave and questionnaires.line_id = scope.line_id

),

planned as (

    select
        wave,
        probe_id,
        min(line_id) as line_id,
        min(scenario_code) as scenario_code,
        max(case when connected = 'yes' then 1 else 0 end) as was_connected
    from {{ ref('stg_attempts') }}
    where probe_id is not null
    group by wave, probe_id

),

-- dialled for, never put through: nothing could be asked
not_completed as (

    select
        planned.wave,
        planned.probe_id,
        planned.line_id,
        planned.scenario_code,
        case when planned.was_connected = 1 then 'missing' else 'not_reached' end as answer
    from planned
    left join completed on planned.wave = completed.wave and planned.probe_id = completed.probe_id
    where completed.probe_id is null

)

select
    wave,
    line_id,
    probe_id as unit_id,
    probe_id,
    scenario_code,
    {% for field in coded -%}
        {{ field }},
    {% endfor -%}
    {{ minutes_between('called_at', 'responded_at') }} as response_minutes
from completed
union all
select
    wave,
    line_id,
    probe_id as unit_id,
    probe_id,
    scenario_code,
    {% for field in coded -%}
        answer as {{ field }},
    {% endfor -%}
    cast(null as bigint) as response_minutes
from not_completed
