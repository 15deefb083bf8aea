{#
    What this run recomputes: one row per wave and line, is_full where the whole wave is. The pipeline
    writes it as a small file: as a variable it would be parsed anew each time, and be spliced into SQL.
#}
{% macro scope() -%}
    {{ return(adapter.dispatch('scope', 'hotline')()) }}
{%- endmacro %}

{% macro duckdb__scope() -%}
    read_parquet('scope/scope.parquet')
{%- endmacro %}

{# Rows of the lines in scope leave before they are appended anew, in the same transaction. #}
{% macro purge_lines() %}
    {% if is_incremental() %}
        delete from {{ this }}
        where
            wave in (select full_scope.wave from {{ scope() }} as full_scope where full_scope.is_full)
            or (wave, line_id) in (
                select
                    line_scope.wave,
                    line_scope.line_id
                from {{ scope() }} as line_scope
            )
    {% endif %}
{% endmacro %}

{# Published tables are made anew for the whole wave. #}
{% macro purge_waves() %}
    {% if is_incremental() %}
        delete from {{ this }}
        where wave in (select wave_scope.wave from {{ scope() }} as wave_scope)
    {% endif %}
{% endmacro %}

{# The waves that this run recomputes, as a condition. #}
{% macro wave_in_scope() -%}
    wave in (select wave_scope.wave from {{ scope() }} as wave_scope)
{%- endmacro %}
