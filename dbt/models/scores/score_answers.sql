-- Counted before anything is joined: no score reads a unit.
with

scope as (

    select
        wave,
        line_id,
        row_number() over (order by wave, line_id) as place
    from {{ scope() }}

),

rules as (

    select * from {{ source('reference', 'scoring_rules') }}
    where {{ wave_in_scope() }}

),

bounds as (

    select
        wave,
        source,
        field,
        min_value as bound
    from rules
    union
    select
        wave,
        source,
        field,
        max_value as bound
    from rules

),

-- cut wherever any rule begins or ends: every number is in one range at most
ranges as (

    select
        wave,
        source as rule_source,
        field,
        bound as min_value,
        lead(bound) over (
            partition by wave, source, field
            order by bound
        ) as max_value
    from bounds
    where bound is not null

),

counts as (

    -- the loop is the template's, not the layout's -- noqa: disable=LT02
    {% for asked in answer_sources() -%}
        {{ answer_counts(asked, 'scope', 'ranges') }}
        {% if not loop.last %}union all{% endif %}
    {% endfor %}
    -- noqa: enable=LT02

)

select
    scope.wave,
    scope.line_id,
    counts.rule_source,
    counts.scenario_code,
    counts.field,
    counts.answer,
    counts.number,
    cast(counts.n_units as bigint) as n_units
from counts
inner join scope on counts.place = scope.place
