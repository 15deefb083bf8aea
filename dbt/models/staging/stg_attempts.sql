with

attempts as (

    select * from {{ source('bronze', 'dial_attempts') }}

),

scope as (

    select * from {{ scope() }}

)

select
    attempts.wave,
    attempts.line_id,
    attempts.attempt_id as unit_id,
    attempts.probe_id,
    attempts.scenario_code,
    attempts.connected,
    attempts.smart_voice,
    cast(attempts.wait_s as bigint) as wait_s,
    cast(attempts.ivr_layers as bigint) as ivr_layers
from attempts
inner join scope on attempts.wave = scope.wave and attempts.line_id = scope.line_id
