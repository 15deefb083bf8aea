-- depends_on: {{ ref('score_nodes') }}, {{ ref('score_line_classes') }}
-- Made last: where this row stands, the line's scores are whole.
with

line_inputs as (

    select * from {{ source('reference', 'line_inputs') }}

),

scope as (

    select * from {{ scope() }}

)

select
    line_inputs.wave,
    line_inputs.line_id,
    line_inputs.input_fingerprint
from line_inputs
inner join scope on line_inputs.wave = scope.wave and line_inputs.line_id = scope.line_id
