{#
    The fields of one kind of unit, turned into rows: one row per unit and field.
    A text field that was left open reads `missing`; what that scores is the method's business.
    Callers list the fields; schema.SCORING_FIELDS holds the same lists for the method's checks.
#}
{% macro answers(relation, source, channel, unit, text_fields, number_fields=[]) %}
select
    units.wave,
    units.line_id,
    '{{ channel }}' as channel,
    '{{ source }}' as rule_source,
    '{{ unit }}' as unit,
    units.unit_id,
    units.probe_id,
    units.scenario_code,
    fields.field,
    case fields.field
        {% for field in text_fields -%}
            when '{{ field }}' then coalesce(units.{{ field }}, 'missing')
        {% endfor %}
    end as answer,
    {% if number_fields -%}
        case fields.field
            {% for field in number_fields -%}
                when '{{ field }}' then units.{{ field }}
            {% endfor %}
        end
    {%- else -%}
        cast(null as bigint)
    {%- endif %} as number
from {{ relation }} as units
cross join (
    {% for field in text_fields + number_fields -%}
        select '{{ field }}' as field
        {% if not loop.last %}union all{% endif %}
    {% endfor %}
) as fields
{% endmacro %}
