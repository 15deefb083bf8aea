-- one row per export and coder: the share of its records that the coder made
with

coded as (

    select
        'phone_probes' as table_name,
        coder_id
    from phone_probes
    where wave = $wave
    union all
    select
        'web_probes' as table_name,
        coder_id
    from web_probes
    where wave = $wave

),

counted as (

    select
        table_name,
        coder_id,
        count(*) as n_records
    from coded
    group by table_name, coder_id

)

select
    table_name,
    coder_id,
    n_records,
    100.0 * n_records / sum(n_records) over (partition by table_name) as share_pct
from counted
