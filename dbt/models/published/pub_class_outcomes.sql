with

attempt_counts as (

    select distinct
        wave,
        attempts
    from {{ ref('score_line_classes') }}
    where {{ wave_in_scope() }}

),

digits as (

    -- the loop is the template's, not the layout's -- noqa: disable=LT02
    {% for digit in range(10) -%}
        select cast({{ digit }} as bigint) as digit
        {% if not loop.last %}union all{% endif %}
    {% endfor %}
    -- noqa: enable=LT02

),

numbers as (

    select ones.digit + 10 * tens.digit + 100 * hundreds.digit + 1000 * thousands.digit as number
    from digits as ones
    cross join digits as tens
    cross join digits as hundreds
    cross join digits as thousands

),

outcomes as (

    select
        attempt_counts.wave,
        attempt_counts.attempts,
        numbers.number as connected
    from attempt_counts
    inner join numbers on numbers.number <= attempt_counts.attempts

),

classified as (

    {% call line_class('outcomes') %}counts.wave, counts.attempts, counts.connected{% endcall %}

)

select
    wave,
    attempts,
    connected,
    line_class
from classified
