-- one row: the wave as a whole
with

frame as (

    select
        wave,
        count(*) as n_lines
    from lines
    where wave = $wave
    group by wave

),

totals as (

    select
        avg(score_nano) filter (where channel = 'all') / 1e9 as national_mean,
        count(distinct line_id) filter (where channel = 'phone' and score_nano is not null) as n_phone,
        count(distinct line_id) filter (where channel = 'web' and score_nano is not null) as n_web
    from score_total
    where wave = $wave

),

classes as (

    select
        count(*) filter (where line_class = 'hot') as n_hot,
        count(*) filter (where line_class = 'dead') as n_dead,
        count(*) filter (where line_class = 'not_measured') as n_not_measured
    from score_line_classes
    where wave = $wave

),

observations as (

    select
        coalesce(cast(sum(n_observations) as bigint), 0) as n_observations,
        coalesce(cast(sum(n_missing) as bigint), 0) as n_missing
    from score_scenarios
    where wave = $wave

),

baseline as (

    select
        wave,
        value_centi / 100.0 as national_mean
    from baseline_figures
    where wave = $wave and figure_id = 'total.score'

)

select
    frame.n_lines,
    totals.national_mean,
    abs(totals.national_mean - baseline.national_mean) as national_jump,
    100.0 * classes.n_hot / frame.n_lines as hot_share_pct,
    100.0 * classes.n_dead / frame.n_lines as dead_share_pct,
    100.0 * classes.n_not_measured / frame.n_lines as not_measured_share_pct,
    100.0 * totals.n_phone / frame.n_lines as phone_coverage_pct,
    100.0 * totals.n_web / frame.n_lines as web_coverage_pct,
    observations.n_observations,
    observations.n_missing
from frame
cross join totals
cross join classes
cross join observations
left join baseline on frame.wave = baseline.wave
