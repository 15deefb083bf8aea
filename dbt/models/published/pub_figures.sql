with

definitions as (

    select * from {{ source('reference', 'figure_definitions') }}
    where {{ wave_in_scope() }}

),

measures as (

    select * from {{ ref('pub_measures') }}
    where {{ wave_in_scope() }}

),

baseline as (

    select * from {{ source('reference', 'baseline_figures') }}
    where {{ wave_in_scope() }}

),

aggregates as (

    select * from {{ ref('pub_aggregates') }}
    where {{ wave_in_scope() }}

),

bases as (

    select * from {{ source('reference', 'baseline_comparability') }}
    where {{ wave_in_scope() }}

),

-- shares of a whole, in hundredths of a per cent, cut off; the largest remainders get what is missing to 100.00
cut_off_shares as (

    select
        wave,
        partition_code,
        code,
        k,
        n,
        {{ idiv('10000 * k', 'nullif(n, 0)') }} as floor_centi,
        sum(k) over (partition by wave, partition_code) as whole_k,
        10000 - sum({{ idiv('10000 * k', 'nullif(n, 0)') }}) over (partition by wave, partition_code) as missing_centi
    from measures
    where partition_code is not null

),

partition_shares as (

    select
        wave,
        partition_code,
        code,
        floor_centi + case
            when
                row_number() over (
                    partition by wave, partition_code
                    order by 10000 * k - floor_centi * n desc, code
                ) <= missing_centi
                then 1
            else 0
        end as value_centi
    from cut_off_shares
    -- a partition that does not cover its whole has no such rounding
    where whole_k = n

),

measured as (

    select
        definitions.wave,
        definitions.figure_id,
        measures.k,
        measures.n,
        measures.value_nano,
        case
            when definitions.kind = 'share' then {{ share_centi('measures.k', 'measures.n') }}
            else {{ published_centi('measures.value_nano') }}
        end as rounded_centi,
        case
            when definitions.kind = 'count' then 100 * measures.k
            when definitions.kind = 'share'
                then coalesce(partition_shares.value_centi, {{ share_centi('measures.k', 'measures.n') }})
            else {{ published_centi('measures.value_nano') }}
        end as value_centi,
        case when definitions.kind = 'count' then 1000000000 * measures.k else measures.value_nano end
            as unrounded_nano
    from definitions
    inner join measures
        on
            definitions.wave = measures.wave
            and definitions.measure = measures.measure
            and definitions.dimension = measures.dimension
            and definitions.member = measures.member
            and definitions.channel = measures.channel
            and coalesce(definitions.code, 'none') = measures.code
    left join partition_shares
        on
            measures.wave = partition_shares.wave
            and measures.partition_code = partition_shares.partition_code
            and measures.code = partition_shares.code

),

-- computed from published values, so that a reader can redo them
differences as (

    select
        definitions.wave,
        definitions.figure_id,
        minuend.value_centi - subtrahend.value_centi as value_centi
    from definitions
    inner join measured as minuend
        on definitions.wave = minuend.wave and definitions.of_figure = minuend.figure_id
    inner join measured as subtrahend
        on definitions.wave = subtrahend.wave and definitions.minus_figure = subtrahend.figure_id
    where definitions.kind = 'difference'

),

growths as (

    select
        definitions.wave,
        definitions.figure_id,
        {{ growth_centi('measured.value_centi', 'baseline.value_centi') }} as value_centi
    from definitions
    inner join measured
        on definitions.wave = measured.wave and definitions.of_figure = measured.figure_id
    inner join baseline
        on definitions.wave = baseline.wave and definitions.of_figure = baseline.figure_id
    where definitions.kind = 'growth'

),

valued as (

    select
        definitions.wave,
        definitions.figure_order,
        definitions.figure_id,
        definitions.label,
        definitions.section,
        definitions.unit,
        definitions.kind,
        measured.k,
        measured.n,
        measured.unrounded_nano,
        coalesce(measured.value_centi, differences.value_centi, growths.value_centi) as value_centi,
        coalesce(
            definitions.kind = 'share' and measured.value_centi <> measured.rounded_centi, false
        ) as is_adjusted
    from definitions
    left join measured
        on definitions.wave = measured.wave and definitions.figure_id = measured.figure_id
    left join differences
        on definitions.wave = differences.wave and definitions.figure_id = differences.figure_id
    left join growths
        on definitions.wave = growths.wave and definitions.figure_id = growths.figure_id

),

changes as (

    select
        valued.wave,
        valued.figure_id,
        cast(valued.value_centi - baseline.value_centi as bigint) as change_centi,
        {{ growth_centi('valued.value_centi', 'baseline.value_centi') }} as growth_centi
    from valued
    inner join baseline
        on valued.wave = baseline.wave and valued.figure_id = baseline.figure_id

),

-- a measured figure; scores alone are rescored
measured_bases as (

    select
        definitions.wave,
        definitions.figure_id,
        bases.comparability as basis,
        aggregates.comparable_change_centi as rescored_centi
    from definitions
    inner join bases on definitions.wave = bases.wave and definitions.measure = bases.measure
    left join aggregates
        on
            definitions.measure = 'mean_score'
            and definitions.wave = aggregates.wave
            and definitions.dimension = aggregates.dimension
            and definitions.member = aggregates.member
            and definitions.channel = aggregates.channel
            and definitions.code = aggregates.node_code

),

-- a difference or a growth is as comparable as what it is made of
derived_bases as (

    select
        definitions.wave,
        definitions.figure_id,
        case
            when minuend.basis = coalesce(subtrahend.basis, minuend.basis) then minuend.basis
            else 'not_comparable'
        end as basis,
        minuend.rescored_centi - subtrahend.rescored_centi as rescored_centi
    from definitions
    inner join measured_bases as minuend
        on definitions.wave = minuend.wave and definitions.of_figure = minuend.figure_id
    left join measured_bases as subtrahend
        on definitions.wave = subtrahend.wave and definitions.minus_figure = subtrahend.figure_id

),

figure_bases as (

    select * from measured_bases
    union all
    select * from derived_bases

)

select
    valued.wave,
    valued.figure_order,
    valued.figure_id,
    valued.label,
    valued.section,
    valued.unit,
    valued.kind,
    valued.k,
    valued.n,
    valued.unrounded_nano,
    cast(valued.value_centi as bigint) as value_centi,
    valued.is_adjusted,
    changes.change_centi,
    changes.growth_centi,
    {{ comparability('figure_bases.basis', 'changes.change_centi', 'figure_bases.rescored_centi') }} as comparability,
    {{ comparable_change('figure_bases.basis', 'changes.change_centi', 'figure_bases.rescored_centi') }}
        as comparable_change_centi
from valued
left join changes
    on valued.wave = changes.wave and valued.figure_id = changes.figure_id
left join figure_bases
    on valued.wave = figure_bases.wave and valued.figure_id = figure_bases.figure_id
