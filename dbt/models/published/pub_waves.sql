-- depends_on: {{ ref('pub_figures') }}, {{ ref('pub_rankings') }}, {{ ref('pub_line_scores') }}
-- depends_on: {{ ref('pub_line_classes') }}, {{ ref('pub_class_outcomes') }}
-- Made last: where this row stands, the published tables are whole.
with

waves as (

    select * from {{ source('reference', 'waves') }}
    where {{ wave_in_scope() }}

),

line_inputs as (

    select * from {{ ref('score_line_inputs') }}

),

baseline_figures as (

    select * from {{ source('reference', 'baseline_figures') }}

),

baselines as (

    select
        wave,
        max(release) as baseline_release
    from baseline_figures
    group by wave

),

lines as (

    select
        wave,
        cast(count(*) as bigint) as n_lines,
        {{ text_digest('line_id', 'input_fingerprint') }} as input_fingerprint
    from line_inputs
    group by wave

)

select
    waves.wave,
    waves.label,
    waves.kind,
    waves.is_synthetic,
    waves.method,
    waves.baseline_wave,
    baselines.baseline_release,
    lines.n_lines,
    lines.input_fingerprint
from waves
left join baselines on waves.wave = baselines.wave
left join lines on waves.wave = lines.wave
