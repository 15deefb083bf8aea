{# Tables of Spark are folders of Parquet in the installation, from which the warehouse takes them. #}
{% macro spark__file_format_clause() -%}
    using parquet
{%- endmacro %}

{% macro spark__location_clause() -%}
    {%- set folder = env_var('HOTLINE_HOME') ~ '/engine/' ~ model.name -%}
    location '{{ folder | replace("\\", "\\\\") | replace("'", "\\'") }}'
{%- endmacro %}
