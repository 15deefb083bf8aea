with

nodes as (

    select * from {{ ref('score_nodes') }}
    where {{ wave_in_scope() }}

),

baseline as (

    select * from {{ source('reference', 'baseline_line_scores') }}

)

select
    nodes.wave,
    nodes.line_id,
    nodes.channel,
    nodes.level,
    nodes.node_code,
    nodes.score_nano,
    nodes.published_centi,
    nodes.effective_weight_nano,
    nodes.na_reason,
    cast(nodes.published_centi - baseline.published_centi as bigint) as change_centi
from nodes
left join baseline
    on
        nodes.wave = baseline.wave
        and nodes.line_id = baseline.line_id
        and nodes.channel = baseline.channel
        and nodes.node_code = baseline.node_code
