with

lines as (

    select * from {{ source('reference', 'lines') }}
    where {{ wave_in_scope() }}

),

class_rules as (

    select * from {{ source('reference', 'line_class_rules') }}
    where {{ wave_in_scope() }}

),

rules as (

    select * from {{ source('reference', 'scoring_rules') }}
    where {{ wave_in_scope() }} and partition_code is not null

),

bands as (

    select * from {{ source('reference', 'line_bands') }}
    where {{ wave_in_scope() }}

),

aggregates as (

    select * from {{ ref('pub_aggregates') }}
    where {{ wave_in_scope() }}

),

classes as (

    select * from {{ ref('score_line_classes') }}
    where {{ wave_in_scope() }}

),

flags as (

    select * from {{ ref('pub_line_flags') }}
    where {{ wave_in_scope() }}

),

thirds as (

    select * from {{ ref('score_l3') }}
    where {{ wave_in_scope() }}

),

totals as (

    select * from {{ ref('score_total') }}
    where {{ wave_in_scope() }}

),

scenario_scores as (

    select * from {{ ref('score_scenarios') }}
    where {{ wave_in_scope() }} and scenario_code <> 'none'

),

answer_counts as (

    select * from {{ ref('score_answer_counts') }}
    where {{ wave_in_scope() }} and partition_code is not null

),

frame as (

    select
        wave,
        count(*) as n_lines
    from lines
    group by wave

),

mean_scores as (

    select
        wave,
        'mean_score' as measure,
        dimension,
        member,
        channel,
        node_code as code,
        cast(null as {{ dbt.type_string() }}) as partition_code,
        cast(null as bigint) as k,
        n,
        mean_nano as value_nano
    from aggregates

),

connection_counts as (

    select
        classes.wave,
        'national' as dimension,
        'all' as member,
        classes.attempts,
        classes.connected
    from classes
    union all
    select
        classes.wave,
        'tier' as dimension,
        lines.tier as member,
        classes.attempts,
        classes.connected
    from classes
    inner join lines on classes.wave = lines.wave and classes.line_id = lines.line_id

),

connection_rates as (

    select
        wave,
        'connection_rate' as measure,
        dimension,
        member,
        'phone' as channel,
        'none' as code,
        cast(null as {{ dbt.type_string() }}) as partition_code,
        sum(connected) as k,
        sum(attempts) as n,
        {{ share_nano('sum(connected)', 'sum(attempts)') }} as value_nano
    from connection_counts
    group by wave, dimension, member

),

class_counts as (

    select
        class_rules.wave,
        'class_count' as measure,
        'national' as dimension,
        'all' as member,
        'phone' as channel,
        class_rules.line_class as code,
        cast(null as {{ dbt.type_string() }}) as partition_code,
        count(classes.line_id) as k,
        max(frame.n_lines) as n,
        {{ share_nano('count(classes.line_id)', 'max(frame.n_lines)') }} as value_nano
    from class_rules
    inner join frame on class_rules.wave = frame.wave
    left join classes on class_rules.wave = classes.wave and class_rules.line_class = classes.line_class
    group by class_rules.wave, class_rules.line_class

),

flag_shares as (

    select
        flags.wave,
        'flag_share' as measure,
        'national' as dimension,
        'all' as member,
        definitions.channel,
        flags.flag_code as code,
        cast(null as {{ dbt.type_string() }}) as partition_code,
        sum(case when flags.is_set then 1 else 0 end) as k,
        count(*) as n,
        {{ share_nano('sum(case when flags.is_set then 1 else 0 end)', 'count(*)') }} as value_nano
    from flags
    inner join {{ source('reference', 'line_flags') }} as definitions
        on flags.wave = definitions.wave and flags.flag_code = definitions.flag_code
    group by flags.wave, definitions.channel, flags.flag_code

),

coverages as (

    select
        totals.wave,
        'coverage' as measure,
        'national' as dimension,
        'all' as member,
        totals.channel,
        'none' as code,
        cast(null as {{ dbt.type_string() }}) as partition_code,
        count(totals.score_nano) as k,
        max(frame.n_lines) as n,
        {{ share_nano('count(totals.score_nano)', 'max(frame.n_lines)') }} as value_nano
    from totals
    inner join frame on totals.wave = frame.wave
    group by totals.wave, totals.channel

),

-- lines of which the indicator was seen at least once: a line never reached has no rate
rated_lines as (

    select
        bands.wave,
        bands.band_code,
        bands.partition_code,
        bands.channel,
        case
            when
                thirds.score_nano >= bands.min_pct * 1000000000
                and (thirds.score_nano < bands.max_pct * 1000000000 or bands.max_pct = 100)
                then 1
            else 0
        end as is_in_band
    from bands
    inner join thirds
        on
            bands.wave = thirds.wave
            and bands.channel = thirds.channel
            and bands.indicator_code = thirds.node_code
    where thirds.n_observed > 0

),

band_shares as (

    select
        wave,
        'band_share' as measure,
        'national' as dimension,
        'all' as member,
        channel,
        band_code as code,
        partition_code,
        sum(is_in_band) as k,
        count(*) as n,
        {{ share_nano('sum(is_in_band)', 'count(*)') }} as value_nano
    from rated_lines
    group by wave, channel, band_code, partition_code

),

rule_counts as (

    select
        wave,
        rule_code,
        channel,
        sum(n_units) as k
    from answer_counts
    group by wave, rule_code, channel

),

partition_counts as (

    select
        wave,
        partition_code,
        channel,
        sum(n_units) as n
    from answer_counts
    group by wave, partition_code, channel

),

rule_shares as (

    select
        rules.wave,
        'rule_share' as measure,
        'national' as dimension,
        'all' as member,
        partition_counts.channel,
        rules.rule_code as code,
        rules.partition_code,
        coalesce(rule_counts.k, 0) as k,
        partition_counts.n,
        {{ share_nano('coalesce(rule_counts.k, 0)', 'partition_counts.n') }} as value_nano
    from rules
    inner join partition_counts
        on rules.wave = partition_counts.wave and rules.partition_code = partition_counts.partition_code
    left join rule_counts
        on
            rules.wave = rule_counts.wave
            and rules.rule_code = rule_counts.rule_code
            and partition_counts.channel = rule_counts.channel

),

scenario_means as (

    select
        wave,
        'scenario_mean' as measure,
        'scenario' as dimension,
        scenario_code as member,
        channel,
        indicator_code as code,
        cast(null as {{ dbt.type_string() }}) as partition_code,
        cast(null as bigint) as k,
        sum(n_valid) as n,
        {{ half_up('sum(sum_nano)', 'sum(n_valid)') }} as value_nano
    from scenario_scores
    group by wave, scenario_code, channel, indicator_code

),

measures as (

    select * from mean_scores
    union all
    select * from connection_rates
    union all
    select * from class_counts
    union all
    select * from flag_shares
    union all
    select * from coverages
    union all
    select * from band_shares
    union all
    select * from rule_shares
    union all
    select * from scenario_means

)

select
    wave,
    measure,
    dimension,
    member,
    channel,
    code,
    partition_code,
    cast(k as bigint) as k,
    cast(n as bigint) as n,
    cast(value_nano as bigint) as value_nano
from measures
