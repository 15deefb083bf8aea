{#
    The first class whose rule holds, by connection rate alone and in whole numbers.
    `counts` has attempts and connected; the result adds line_class and is_ranked.
#}
{% macro line_class(counts) %}
select * from (
    select
        counts.*,
        rules.line_class,
        rules.is_ranked = 1 as is_ranked,
        row_number() over (
            partition by {{ caller() }}
            order by rules.rule_order
        ) as nth_match
    from {{ counts }} as counts
    inner join {{ source('reference', 'line_class_rules') }} as rules
        on
            counts.wave = rules.wave
            and (
                (rules.test = 'no_attempts' and counts.attempts = 0)
                or (rules.test = 'none_connected' and counts.connected = 0)
                or (rules.test = 'rate_below' and 100 * counts.connected < rules.below_pct * counts.attempts)
                or rules.test = 'otherwise'
            )
) as matches
where nth_match = 1
{% endmacro %}
