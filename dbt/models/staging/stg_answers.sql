{% for asked in answer_sources() -%}
    {{ answers(asked) }}
    {% if not loop.last %}union all{% endif %}
{% endfor %}
