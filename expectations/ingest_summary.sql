-- one row per export table: how much of what was delivered went to quarantine
with

delivered as (

    select
        'phone_probes' as table_name,
        count(*) as n_bronze
    from phone_probes
    where wave = $wave
    union all
    select
        'dial_attempts' as table_name,
        count(*) as n_bronze
    from dial_attempts
    where wave = $wave
    union all
    select
        'web_probes' as table_name,
        count(*) as n_bronze
    from web_probes
    where wave = $wave

),

quarantined as (

    select
        table_name,
        count(*) as n_quarantined
    from quarantine
    where wave = $wave
    group by table_name

),

tables as (

    select
        coalesce(delivered.table_name, quarantined.table_name) as table_name,
        coalesce(delivered.n_bronze, 0) as n_bronze,
        coalesce(quarantined.n_quarantined, 0) as n_quarantined
    from delivered
    full outer join quarantined on delivered.table_name = quarantined.table_name

)

select
    table_name,
    n_bronze,
    n_quarantined,
    case
        when n_bronze + n_quarantined = 0 then 0
        else 100.0 * n_quarantined / (n_bronze + n_quarantined)
    end as quarantined_share_pct
from tables
