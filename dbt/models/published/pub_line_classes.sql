with

classes as (

    select * from {{ ref('score_line_classes') }}
    where {{ wave_in_scope() }}

)

select
    wave,
    line_id,
    attempts,
    connected,
    line_class,
    is_ranked
from classes
