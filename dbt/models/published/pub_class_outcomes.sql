with

attempt_counts as (

    select distinct
        wave,
        attempts
    from {{ ref('score_line_classes') }}
    where {{ wave_in_scope() }}

),

rates as (

    select
        wave,
        below_pct
    from {{ source('reference', 'line_class_rules') }}
    where test = 'rate_below'

),

-- every rule holds up to some number of connections: only with the next one may the class be another
numbers as (

    select
        wave,
        attempts,
        cast(0 as bigint) as connected
    from attempt_counts
    union
    select
        wave,
        attempts,
        cast(1 as bigint) as connected
    from attempt_counts
    union
    select
        attempt_counts.wave,
        attempt_counts.attempts,
        cast({{ idiv('rates.below_pct * attempt_counts.attempts + 99', '100') }} as bigint) as connected
    from attempt_counts
    inner join rates on attempt_counts.wave = rates.wave

),

outcomes as (

    select * from numbers
    where connected <= attempts

),

classified as (

    {% call line_class('outcomes') %}counts.wave, counts.attempts, counts.connected{% endcall %}

)

select
    wave,
    attempts,
    connected as connected_from,
    line_class
from classified
