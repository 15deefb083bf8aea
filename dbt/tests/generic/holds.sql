{# The condition is true of every row of the waves in scope; null does not count as true. #}
{% test holds(model, condition) %}
select *
from {{ model }}
where {{ wave_in_scope() }} and coalesce({{ condition }}, false) = false
{% endtest %}
