-- one row per line of the frame: what would be published of it
with

frame as (

    select
        line_id,
        city
    from lines
    where wave = $wave

),

totals as (

    select
        line_id,
        score_nano
    from score_total
    where wave = $wave and channel = 'all'

),

classes as (

    select
        line_id,
        attempts,
        line_class
    from score_line_classes
    where wave = $wave

),

baseline as (

    select
        line_id,
        published_centi
    from baseline_line_scores
    where wave = $wave and channel = 'all' and node_code = 'T'

)

select
    frame.line_id,
    frame.city,
    classes.line_class,
    classes.attempts,
    totals.score_nano / 1e9 as total,
    abs(totals.score_nano / 1e9 - baseline.published_centi / 100.0) as jump
from frame
left join totals on frame.line_id = totals.line_id
left join classes on frame.line_id = classes.line_id
left join baseline on frame.line_id = baseline.line_id
