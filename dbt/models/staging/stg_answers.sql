{{ answers(
    ref('stg_attempts'), 'dial_attempt', 'phone', 'attempt',
    ['connected', 'smart_voice'],
    ['wait_s', 'ivr_layers']
) }}
union all
{{ answers(
    ref('stg_phone_probes'), 'phone_probe', 'phone', 'probe',
    ['greeting', 'tone', 'closing', 'listening', 'clarity', 'registered', 'ivr_ease',
     'answer_correct', 'answer_complete', 'responded'],
    ['response_minutes']
) }}
union all
{{ answers(
    "(select * from " ~ ref('stg_web_probes') ~ " where probe_kind = 'inspection')", 'web_inspection', 'web', 'probe',
    ['reachable', 'stable', 'registered', 'content_rich', 'keyword_hit', 'navigation_hit', 'bot_present']
) }}
union all
{{ answers(
    "(select * from " ~ ref('stg_web_probes') ~ " where probe_kind = 'submission')", 'web_submission', 'web', 'probe',
    ['registered', 'submitted', 'acknowledged', 'replied', 'resolved', 'reply_quality', 'reply_wording'],
    ['reply_minutes']
) }}
