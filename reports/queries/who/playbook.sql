select
    segment,
    meaning
from reference.segment_playbook
order by display_order
