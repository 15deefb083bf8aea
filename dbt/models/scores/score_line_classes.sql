with

attempts as (

    select * from {{ ref('stg_attempts') }}

),

scope as (

    select * from {{ scope() }}

),

counts as (

    select
        scope.wave,
        scope.line_id,
        cast(count(attempts.unit_id) as bigint) as attempts,
        cast(sum(case when attempts.connected = 'yes' then 1 else 0 end) as bigint) as connected
    from scope
    left join attempts on scope.wave = attempts.wave and scope.line_id = attempts.line_id
    group by scope.wave, scope.line_id

),

classified as (

    {% call line_class('counts') %}counts.wave, counts.line_id{% endcall %}

)

select
    wave,
    line_id,
    attempts,
    connected,
    line_class,
    is_ranked
from classified
