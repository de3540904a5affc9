/* `heapsrc` tells how many bytes of the heap are in use in this process, and ends. For tests that look for leaks. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "millstream_plugin.h"

static const char MANIFEST[] =
    "{ \"millstream-plugin\": 1, \"name\": \"heap\", \"version\": \"0.1.0\", \"licence\": \"MIT OR Apache-2.0\", \"abi\": \"1.0\","
    "  \"elements\": [{ \"name\": \"heapsrc\", \"class\": \"Source\", \"summary\": \"Tells how much of the heap is in use\","
    "    \"pads\": [{ \"name\": \"src\", \"direction\": \"src\" }] }] }";

typedef struct heap {
    ms_element element;
    const ms_host *host;
} heap;

static int32_t produce(ms_element *element, ms_produced *produced, ms_output *out) {
    const heap *self = (const heap *)element;
    const struct mallinfo2 info = mallinfo2();
    char bytes[32];
    ms_pair pair;
    ms_message message;
    (void)out;
    snprintf(bytes, sizeof bytes, "%zu", info.uordblks + info.hblkhd);
    memset(&message, 0, sizeof message);
    pair.name = ms_text("bytes");
    pair.value = ms_text(bytes);
    message.size = (uint32_t)sizeof message;
    message.kind = MS_MESSAGE_ELEMENT;
    message.name = ms_text("heap");
    message.pairs = &pair;
    message.pair_count = 1;
    self->host->post(self->host, &message);
    produced->kind = MS_PRODUCED_EOS;
    return MS_OK;
}

static void destroy(ms_element *element) {
    free(element);
}

static ms_element *create(const ms_factory *factory, const ms_host *host, const ms_create *from) {
    heap *self = calloc(1, sizeof *self);
    (void)factory;
    (void)from;
    if (self == NULL) {
        ms_fail(host, MS_ERROR_LIMIT, "no memory for the element", "");
        return NULL;
    }
    self->host = host;
    self->element.size = (uint32_t)sizeof self->element;
    self->element.shape = MS_SHAPE_SOURCE;
    self->element.produce = produce;
    self->element.destroy = destroy;
    return &self->element;
}

static ms_str manifest(const ms_factory *factory) {
    (void)factory;
    return ms_text(MANIFEST);
}

static const ms_factory FACTORY = { sizeof(ms_factory), 0, manifest, create, NULL, NULL };

static const void *get_factory(ms_str id) {
    return ms_str_eq(id, MS_FACTORY_ID) ? &FACTORY : NULL;
}

const ms_plugin millstream_plugin = {
    MS_MAGIC, sizeof(ms_plugin), 1, 0, 0, MS_STR("heap"), MS_STR("0.1.0"), MS_STR("MIT OR Apache-2.0"), NULL, NULL, get_factory,
};
