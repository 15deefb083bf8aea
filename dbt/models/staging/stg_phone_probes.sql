{%- set coded = [
    'greeting', 'tone', 'closing', 'listening', 'clarity', 'registered', 'ivr_ease',
    'answer_correct', 'answer_complete', 'responded'
] -%}

with

completed as (

    select * from {{ source('bronze', 'phone_probes') }}

),

-- dialled for, never put through: nothing could be asked
not_completed as (

    select
        wave,
        line_id,
        probe_id,
        scenario_code,
        case when is_connected then 'missing' else 'not_reached' end as answer
    from {{ source('bronze', 'open_probes') }}

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
