{#
    What this run recomputes: one row per wave and line, is_full where the whole wave is. The pipeline
    writes it as a small file: as a variable it would be parsed anew each time, and be spliced into SQL.
#}
{% macro scope() -%}
    {{ return(adapter.dispatch('scope', 'hotline')()) }}
{%- endmacro %}

{% macro duckdb__scope() -%}
    read_parquet('input://scope/scope.parquet')
{%- endmacro %}

{# Another engine is shown the file as a table. #}
{% macro default__scope() -%}
    bronze.scope
{%- endmacro %}

{#
    A table of which a run replaces the rows in scope, in one transaction; the other rows stand.
    `config(scope=...)`: line (the lines of the scope, or the whole wave where it is full) or wave.
    `--full-refresh`, or a view of that name, makes the table new, with the rows of the scope alone.

    dbt's own incremental builds each model in a table of its own first, and compares its columns
    with those that stand. In the pipeline they cannot differ: where a model changes, it makes the
    warehouse new, and every table with it by its contract.
#}
{% materialization scoped, adapter='duckdb' -%}
    {%- set relation = this.incorporate(type='table') -%}
    {%- set existing = load_cached_relation(this) -%}
    {%- if target.name == 'warehouse' -%}
        {%- set sql = "select * from read_parquet('input://engine/" ~ model.name ~ "/*.parquet')" -%}
    {%- endif -%}
    {%- set columns = model.columns.keys() | join(', ') -%}
    {%- set text -%}
        {% if existing is none or not existing.is_table or should_full_refresh() %}
            {% if existing is not none %}drop {{ existing.type }} {{ existing }};{% endif %}
            {{ create_table_as(False, relation, sql) }}
        {% else %}
            delete from {{ relation }} where {{ lines_in_scope() if config.require('scope') == 'line' else wave_in_scope() }};
            insert into {{ relation }} ({{ columns }}) select {{ columns }} from ({{ sql }}) as model
        {% endif %}
    {%- endset -%}
    {{ return(made_by(text, relation)) }}
{%- endmaterialization %}

{# Elsewhere a table has the rows of one run alone: the warehouse takes them from there (dagster_project/transform). #}
{% materialization scoped, default -%}
    {%- set relation = this.incorporate(type='table') -%}
    {{ drop_relation_if_exists(load_cached_relation(this)) }}
    {{ return(made_by(create_table_as(False, relation, sql), relation)) }}
{%- endmaterialization %}

{# A relation made by one text of SQL, in one transaction with the model's hooks; what a materialization returns. #}
{% macro made_by(text, relation) -%}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {% call statement('main') %}
        {{ text }}
    {% endcall %}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {% do adapter.commit() %}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [relation]}) }}
{%- endmacro %}

{# Rows of the lines that this run recomputes, as a condition. #}
{% macro lines_in_scope() -%}
    (
        wave in (select full_scope.wave from {{ scope() }} as full_scope where full_scope.is_full)
        or (wave, line_id) in (select line_scope.wave, line_scope.line_id from {{ scope() }} as line_scope)
    )
{%- endmacro %}

{# The waves that this run recomputes, as a condition. #}
{% macro wave_in_scope() -%}
    wave in (select wave_scope.wave from {{ scope() }} as wave_scope)
{%- endmacro %}
