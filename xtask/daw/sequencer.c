/* The ALSA sequencer for a machine that has none (no /dev/snd/seq, as in a container): it opens, and nothing ever comes.
 * Qtractor wants one before it starts. Preloaded by xtask/src/test/daw.rs; no part of the plugin. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#define NOTHING(name) long name(void) { return 0; }
#define NOBODY(name) int name(void) { return -EAGAIN; }
#define NAME(name) const char *name(void) { return "none"; }
/* Callers allocate as many bytes as they are told; larger than any of ALSA's own. */
#define SIZE(name) size_t name(void) { return 512; }

int snd_seq_open(void **handle, const char *name, int streams, int mode) {
    (void)name, (void)streams, (void)mode;
    *handle = calloc(1, 4096);
    return *handle ? 0 : -ENOMEM;
}
int snd_seq_client_id(void) { return 128; }
void *snd_seq_query_subscribe_get_addr(void) { static char address[64]; return address; }

NOBODY(snd_seq_event_input) NOBODY(snd_seq_query_next_client) NOBODY(snd_seq_query_next_port)
NAME(snd_seq_client_info_get_name) NAME(snd_seq_port_info_get_name)
SIZE(snd_seq_client_info_sizeof) SIZE(snd_seq_port_info_sizeof) SIZE(snd_seq_port_subscribe_sizeof)
SIZE(snd_seq_query_subscribe_sizeof) SIZE(snd_seq_queue_status_sizeof) SIZE(snd_seq_queue_tempo_sizeof)
SIZE(snd_seq_queue_timer_sizeof) SIZE(snd_seq_remove_events_sizeof)
NOTHING(snd_seq_alloc_queue) NOTHING(snd_seq_client_info_get_client) NOTHING(snd_seq_client_info_set_client)
NOTHING(snd_seq_close) NOTHING(snd_seq_control_queue) NOTHING(snd_seq_create_simple_port)
NOTHING(snd_seq_delete_simple_port) NOTHING(snd_seq_drain_output) NOTHING(snd_seq_drop_input)
NOTHING(snd_seq_drop_output) NOTHING(snd_seq_event_input_pending) NOTHING(snd_seq_event_output)
NOTHING(snd_seq_event_output_direct) NOTHING(snd_seq_event_types) NOTHING(snd_seq_free_event)
NOTHING(snd_seq_free_queue) NOTHING(snd_seq_get_any_client_info) NOTHING(snd_seq_get_any_port_info)
NOTHING(snd_seq_get_port_info) NOTHING(snd_seq_get_queue_status) NOTHING(snd_seq_get_queue_tempo)
NOTHING(snd_seq_poll_descriptors) NOTHING(snd_seq_poll_descriptors_count) NOTHING(snd_seq_port_info_get_capability)
NOTHING(snd_seq_port_info_get_port) NOTHING(snd_seq_port_info_set_client) NOTHING(snd_seq_port_info_set_port)
NOTHING(snd_seq_port_info_set_timestamp_queue) NOTHING(snd_seq_port_info_set_timestamp_real)
NOTHING(snd_seq_port_info_set_timestamping) NOTHING(snd_seq_port_subscribe_set_dest)
NOTHING(snd_seq_port_subscribe_set_sender) NOTHING(snd_seq_query_port_subscribers)
NOTHING(snd_seq_query_subscribe_get_index) NOTHING(snd_seq_query_subscribe_set_index)
NOTHING(snd_seq_query_subscribe_set_root) NOTHING(snd_seq_query_subscribe_set_type)
NOTHING(snd_seq_queue_status_get_tick_time) NOTHING(snd_seq_queue_tempo_get_skew)
NOTHING(snd_seq_queue_tempo_get_skew_base) NOTHING(snd_seq_queue_tempo_set_ppq) NOTHING(snd_seq_queue_tempo_set_skew)
NOTHING(snd_seq_queue_tempo_set_tempo) NOTHING(snd_seq_queue_timer_set_id) NOTHING(snd_seq_queue_timer_set_type)
NOTHING(snd_seq_remove_events) NOTHING(snd_seq_remove_events_set_channel)
NOTHING(snd_seq_remove_events_set_condition) NOTHING(snd_seq_remove_events_set_queue)
NOTHING(snd_seq_remove_events_set_tag) NOTHING(snd_seq_remove_events_set_time) NOTHING(snd_seq_set_client_name)
NOTHING(snd_seq_set_port_info) NOTHING(snd_seq_set_queue_tempo) NOTHING(snd_seq_set_queue_timer)
NOTHING(snd_seq_subscribe_port) NOTHING(snd_seq_unsubscribe_port)
