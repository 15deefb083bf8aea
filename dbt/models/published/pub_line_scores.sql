with

nodes as (

    select * from {{ ref('score_nodes') }}
    where {{ wave_in_scope() }}

),

baseline as (

    select * from {{ source('reference', 'baseline_line_scores') }}

),

rescored as (

    select * from {{ ref('pub_comparable_scores') }}

),

score_basis as (

    {{ score_basis() }}

),

changes as (

    select
        nodes.*,
        cast(nodes.published_centi - baseline.published_centi as bigint) as change_centi,
        rescored.change_centi as rescored_centi
    from nodes
    left join baseline
        on
            nodes.wave = baseline.wave
            and nodes.line_id = baseline.line_id
            and nodes.channel = baseline.channel
            and nodes.node_code = baseline.node_code
    left join rescored
        on
            nodes.wave = rescored.wave
            and nodes.line_id = rescored.line_id
            and nodes.channel = rescored.channel
            and nodes.level = rescored.level
            and nodes.node_code = rescored.node_code

)

select
    changes.wave,
    changes.line_id,
    changes.channel,
    changes.level,
    changes.node_code,
    changes.score_nano,
    changes.published_centi,
    changes.effective_weight_nano,
    changes.na_reason,
    changes.change_centi,
    {{ comparability('score_basis.basis', 'changes.change_centi', 'changes.rescored_centi') }} as comparability,
    {{ comparable_change('score_basis.basis', 'changes.change_centi', 'changes.rescored_centi') }}
        as comparable_change_centi
from changes
left join score_basis on changes.wave = score_basis.wave
