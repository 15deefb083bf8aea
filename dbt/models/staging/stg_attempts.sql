with

attempts as (

    select * from {{ source('bronze', 'dial_attempts') }}

)

select
    wave,
    line_id,
    attempt_id as unit_id,
    probe_id,
    scenario_code,
    connected,
    smart_voice,
    cast(wait_s as bigint) as wait_s,
    cast(ivr_layers as bigint) as ivr_layers
from attempts
