with

lines as (

    select * from {{ source('reference', 'lines') }}
    where {{ wave_in_scope() }}

),

flags as (

    select * from {{ source('reference', 'line_flags') }}

),

scores as (

    select * from {{ ref('score_l3') }}

)

select
    lines.wave,
    lines.line_id,
    flags.flag_code,
    coalesce(scores.score_nano >= flags.min_rate_pct * 1000000000, false) as is_set
from lines
inner join flags on lines.wave = flags.wave
left join scores
    on
        lines.wave = scores.wave
        and lines.line_id = scores.line_id
        and flags.channel = scores.channel
        and flags.indicator_code = scores.node_code
