{# Shares of one whole, as printed, sum to 100.00 per cent wherever all of them are printed. #}
{% test partitions_sum_to_100(model) %}
with

printed as (

    select
        figures.wave,
        measures.partition_code,
        sum(figures.value_centi) as value_centi,
        sum(measures.k) as k,
        max(measures.n) as n
    from {{ model }} as figures
    inner join {{ source('reference', 'figure_definitions') }} as definitions
        on figures.wave = definitions.wave and figures.figure_id = definitions.figure_id
    inner join {{ ref('pub_measures') }} as measures
        on
            definitions.wave = measures.wave
            and definitions.measure = measures.measure
            and definitions.code = measures.code
            and definitions.channel = measures.channel
    where figures.{{ wave_in_scope() }} and measures.partition_code is not null
    group by figures.wave, measures.partition_code

)

select *
from printed
where k = n and value_centi <> 10000
{% endtest %}
