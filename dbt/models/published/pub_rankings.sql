with

lines as (

    select * from {{ source('reference', 'lines') }}
    where {{ wave_in_scope() }}

),

rank_groups as (

    select * from {{ source('reference', 'rank_groups') }}

),

nodes as (

    select * from {{ ref('score_nodes') }}
    where channel = 'all' and level = 0

),

classes as (

    select * from {{ ref('score_line_classes') }}

),

aggregates as (

    select * from {{ ref('pub_aggregates') }}
    where dimension = 'province' and channel = 'all' and level = 0

),

baseline as (

    select * from {{ source('reference', 'baseline_rankings') }}

),

rescored as (

    select * from {{ ref('pub_comparable_scores') }}
    where channel = 'all' and level = 0

),

score_basis as (

    {{ score_basis() }}

),

scored_lines as (

    select
        lines.wave,
        lines.line_id,
        lines.city,
        lines.province_code,
        lines.province,
        lines.rank_group,
        classes.line_class,
        nodes.published_centi,
        rescored.change_centi as rescored_centi,
        classes.is_ranked and nodes.published_centi is not null as is_ranked
    from lines
    left join nodes on lines.wave = nodes.wave and lines.line_id = nodes.line_id
    left join rescored on lines.wave = rescored.wave and lines.line_id = rescored.line_id
    left join classes on lines.wave = classes.wave and lines.line_id = classes.line_id

),

ranked_provinces as (

    select
        wave,
        province_code,
        province,
        cast(count(*) as bigint) as n_lines,
        max(case when is_ranked then 1 else 0 end) = 1 as is_ranked
    from scored_lines
    group by wave, province_code, province

),

units as (

    select
        rank_groups.wave,
        rank_groups.group_code,
        rank_groups.unit,
        scored_lines.line_id as unit_code,
        scored_lines.city as unit_name,
        scored_lines.line_class,
        cast(1 as bigint) as n_lines,
        scored_lines.published_centi,
        scored_lines.rescored_centi,
        coalesce(scored_lines.is_ranked, false) as is_ranked
    from rank_groups
    inner join scored_lines
        on rank_groups.wave = scored_lines.wave and rank_groups.rank_group = scored_lines.rank_group
    where rank_groups.unit = 'line'
    union all
    select
        rank_groups.wave,
        rank_groups.group_code,
        rank_groups.unit,
        ranked_provinces.province_code as unit_code,
        ranked_provinces.province as unit_name,
        cast(null as {{ dbt.type_string() }}) as line_class,
        ranked_provinces.n_lines,
        aggregates.published_centi,
        aggregates.comparable_change_centi as rescored_centi,
        ranked_provinces.is_ranked and aggregates.published_centi is not null as is_ranked
    from rank_groups
    inner join ranked_provinces on rank_groups.wave = ranked_provinces.wave
    left join aggregates
        on ranked_provinces.wave = aggregates.wave and ranked_provinces.province_code = aggregates.member
    where rank_groups.unit = 'province'

),

ranked as (

    select
        wave,
        group_code,
        unit_code,
        rank() over (partition by wave, group_code order by published_centi desc) as rank,
        count(*) over (partition by wave, group_code, published_centi) > 1 as is_tied
    from units
    where is_ranked

),

changes as (

    select
        units.*,
        cast(units.published_centi - baseline.published_centi as bigint) as change_centi,
        baseline.rank as baseline_rank
    from units
    left join baseline
        on
            units.wave = baseline.wave
            and units.group_code = baseline.group_code
            and units.unit_code = baseline.unit_code

)

select
    units.wave,
    units.group_code,
    units.unit,
    units.unit_code,
    units.unit_name,
    units.line_class,
    units.n_lines,
    cast(ranked.rank as bigint) as rank,
    coalesce(ranked.is_tied, false) as is_tied,
    units.published_centi,
    units.change_centi,
    {{ comparability('score_basis.basis', 'units.change_centi', 'units.rescored_centi') }} as comparability,
    {{ comparable_change('score_basis.basis', 'units.change_centi', 'units.rescored_centi') }}
        as comparable_change_centi,
    cast(units.baseline_rank - ranked.rank as bigint) as places_gained,
    cast(
        row_number() over (
            partition by units.wave, units.group_code
            order by case when ranked.rank is null then 1 else 0 end, ranked.rank, units.unit_code
        ) as bigint
    ) as list_order
from changes as units
left join ranked
    on
        units.wave = ranked.wave
        and units.group_code = ranked.group_code
        and units.unit_code = ranked.unit_code
left join score_basis on units.wave = score_basis.wave
