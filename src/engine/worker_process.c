// SPDX-License-Identifier: Apache-2.0
// Owns a worker's process, its pipe and the bytes under way in both directions.
#include "engine/worker_process.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "base/list.h"
#include "base/mem.h"
#include "engine/usage.h"

#define WZ_WORKER_READ_BYTES (64 * 1024)

// What is kept of an emptied buffer.
#define WZ_WORKER_KEEP_BYTES ((size_t)256 * 1024)

// After the end of a process, at most this much is still read from its pipe: a socket buffer holds
// less, so only a child of the worker's could send more.
#define WZ_WORKER_REST_MAX_BYTES (32 * 1024 * 1024)

struct wz_worker_process {
    uv_process_t process;
    uv_pipe_t pipe;
    uv_write_t write;
    struct wz_worker_process_events events;
    struct wz_pieces out;     // being filled
    struct wz_pieces writing; // with libuv, or with the courier
    struct wz_courier *courier;
    struct wz_courier_job job;
    struct wz_worker_end end; // when it has exited
    struct wz_buf in;
    size_t in_done;
    struct wz_intake_member intake;
    int handle_count; // not closed yet
    bool write_pending;
    bool with_courier; // what is being written
    bool reading;
    bool paused; // by its owner
    bool exited;
    bool rest_read; // what the dead process left was taken out of the socket
};

static void start_reading(struct wz_worker_process *process);
static void on_turn(void *arg);

static void on_closed(uv_handle_t *handle)
{
    struct wz_worker_process *process = handle->data;

    if (--process->handle_count > 0)
        return;
    wz_pieces_release(&process->out);
    wz_pieces_release(&process->writing);
    wz_buf_release(&process->in);
    wz_free(process);
}

void wz_worker_process_free(struct wz_worker_process *process)
{
    WZ_ASSERT(process->exited);
    wz_intake_leave(&process->intake);
    uv_close((uv_handle_t *)&process->process, on_closed);
    uv_close((uv_handle_t *)&process->pipe, on_closed);
}

// Reads what the dead process left in the socket.
static void read_rest(struct wz_worker_process *process)
{
    uv_os_fd_t fd;
    size_t limit = process->in.len + WZ_WORKER_REST_MAX_BYTES;

    process->rest_read = true;
    if (uv_fileno((uv_handle_t *)&process->pipe, &fd) < 0)
        return;
    while (process->in.len < limit) {
        ssize_t n;

        wz_buf_reserve(&process->in, WZ_WORKER_READ_BYTES);
        n = read(fd, process->in.ptr + process->in.len, WZ_WORKER_READ_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        process->in.len += (size_t)n;
    }
}

static void stop_reading(struct wz_worker_process *process)
{
    if (process->reading)
        (void)uv_read_stop((uv_stream_t *)&process->pipe); // cannot fail
    process->reading = false;
}

static void on_process_exit(uv_process_t *handle, int64_t exit_code, int signal)
{
    struct wz_worker_process *process = handle->data;

    process->end.exit_code = exit_code;
    process->end.signal = signal;
    process->exited = true;
    stop_reading(process);
    wz_intake_leave(&process->intake);
    if (!process->with_courier) // who is about to find its socket closed
        process->events.exited(process->events.arg, &process->end);
}

static int open_handles(struct wz_worker_process *process, uv_loop_t *uv)
{
    process->pipe.data = process;
    process->process.data = process;
    if (uv_pipe_init(uv, &process->pipe, 0) < 0)
        return WZ_ERR_SYSTEM;
    process->handle_count = 1;
    return WZ_OK;
}

// The program's arguments, in one block; its strings are borrowed.
static char **make_argv(const struct wz_worker_program *program, char *parent)
{
    size_t count = 0;
    char **argv;

    while (program->words && program->words[count])
        count++;
    argv = wz_zalloc(count + 4, sizeof(*argv));
    argv[0] = (char *)program->path;
    argv[1] = (char *)program->name;
    argv[2] = parent;
    for (size_t i = 0; i < count; i++)
        argv[3 + i] = (char *)program->words[i];
    return argv;
}

// The handles are closed even when the start has failed: libuv has begun to use both.
static int spawn(struct wz_worker_process *process, uv_loop_t *uv,
                 const struct wz_worker_program *program)
{
    char parent[16];
    char **argv = make_argv(program, parent);
    char *env[] = {NULL};
    uv_stdio_container_t stdio[4] = {
        {.flags = UV_IGNORE},
        {.flags = UV_IGNORE},
        {.flags = UV_IGNORE},
        {.flags = UV_CREATE_PIPE | UV_READABLE_PIPE | UV_WRITABLE_PIPE,
         .data.stream = (uv_stream_t *)&process->pipe},
    };
    uv_process_options_t options = {
        .exit_cb = on_process_exit,
        .file = program->path,
        .args = argv,
        .env = env,
        .stdio_count = 4,
        .stdio = stdio,
    };
    int r;

    (void)snprintf(parent, sizeof(parent), "%d", (int)getpid());
    r = uv_spawn(uv, &process->process, &options);
    wz_free(argv);
    process->handle_count = 2;
    if (r == UV_ENOENT || r == UV_EACCES)
        return WZ_ERR_NOT_FOUND;
    return r < 0 ? WZ_ERR_SYSTEM : WZ_OK;
}

int wz_worker_process_start(uv_loop_t *uv, const struct wz_worker_program *program,
                            const struct wz_worker_process_events *events,
                            struct wz_worker_process **ret_process)
{
    struct wz_worker_process *process = wz_zalloc(1, sizeof(*process));
    int r = open_handles(process, uv);

    if (r < 0) {
        wz_free(process);
        return r;
    }
    process->events = *events;
    process->courier = program->courier;
    process->intake = (struct wz_intake_member){.go_on = on_turn, .arg = process};
    wz_intake_join(program->intake, &process->intake);
    process->job.reply_to = program->mail;
    r = spawn(process, uv, program);
    if (r < 0) {
        process->exited = true;
        wz_worker_process_free(process);
        return r;
    }
    start_reading(process);
    *ret_process = process;
    return WZ_OK;
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *ret_buf)
{
    struct wz_worker_process *process = handle->data;

    (void)size;
    wz_buf_consume(&process->in, process->in_done);
    process->in_done = 0;
    if (process->in.len == 0 && process->in.cap > WZ_WORKER_KEEP_BYTES)
        wz_buf_release(&process->in);
    wz_buf_reserve(&process->in, WZ_WORKER_READ_BYTES);
    ret_buf->base = (char *)process->in.ptr + process->in.len;
    ret_buf->len = process->in.cap - process->in.len;
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct wz_worker_process *process = stream->data;

    (void)buf;
    if (n < 0) {
        wz_worker_process_pause(process); // EXITED comes
        process->end.closed = !process->exited && !wz_usage_ends(wz_worker_process_pid(process));
        wz_worker_process_kill(process);
        return;
    }
    process->in.len += (size_t)n;
    if (n == 0)
        return;
    process->events.readable(process->events.arg); // it is there until the loop's next turn
    if (!wz_intake_holds(&process->intake, process->in.len - process->in_done))
        stop_reading(process);
}

static void start_reading(struct wz_worker_process *process)
{
    if (process->reading || process->paused || process->intake.waits || process->exited)
        return;
    process->reading = uv_read_start((uv_stream_t *)&process->pipe, on_alloc, on_read) == 0;
    if (!process->reading)
        wz_worker_process_kill(process);
}

// It may go on with a large frame.
static void on_turn(void *arg) { start_reading(arg); }

bool wz_worker_process_waits(const struct wz_worker_process *process)
{
    return process->intake.waits;
}

void wz_worker_process_pause(struct wz_worker_process *process)
{
    process->paused = true;
    stop_reading(process);
}

void wz_worker_process_resume(struct wz_worker_process *process)
{
    process->paused = false;
    start_reading(process);
    process->events.readable(process->events.arg);
}

int wz_worker_process_next(struct wz_worker_process *process, struct wz_frame *ret_frame)
{
    size_t len;
    int r = WZ_AGAIN;

    for (;;) {
        if (process->in.len > process->in_done)
            r = wz_frame_read(wz_slice_sub(wz_buf_slice(&process->in), process->in_done,
                                           process->in.len - process->in_done),
                              ret_frame, &len);
        if (r == WZ_OK)
            process->in_done += len;
        if (r != WZ_AGAIN || !process->exited || process->rest_read)
            return r;
        read_rest(process); // only now: it may move bytes that the last frame borrowed
    }
}

bool wz_worker_process_ready(const struct wz_worker_process *process)
{
    return !process->write_pending && !process->exited;
}

struct wz_pieces *wz_worker_process_pieces(struct wz_worker_process *process)
{
    return &process->out;
}

struct wz_buf *wz_worker_process_out(struct wz_worker_process *process)
{
    return &process->out.own;
}

// Nothing is being written any more.
static void end_writing(struct wz_worker_process *process)
{
    process->write_pending = false;
    wz_pieces_clear(&process->writing);
}

// Goes on when all that was being written is.
static void go_on(struct wz_worker_process *process)
{
    end_writing(process);
    wz_worker_process_send(process);
    if (!process->write_pending)
        process->events.writable(process->events.arg);
}

static void on_written(uv_write_t *write, int status)
{
    struct wz_worker_process *process = write->data;

    if (status < 0 || process->exited)
        end_writing(process);
    else
        go_on(process);
}

// Leaves what the pipe did not take at once to libuv.
static void write_rest(struct wz_worker_process *process)
{
    size_t count = wz_pieces_count(&process->writing);
    WZ_AUTO(wz_free_ptr) uv_buf_t *vector = wz_zalloc(count, sizeof(*vector));
    size_t len;

    (void)wz_pieces_vector(&process->writing, vector, (unsigned)count, &len); // all of them
    process->write.data = process;
    // A pipe that takes nothing at all belongs to a process that is ending: EXITED comes.
    process->write_pending = uv_write(&process->write, (uv_stream_t *)&process->pipe, vector,
                                      (unsigned)count, on_written) == 0;
    if (!process->write_pending)
        end_writing(process);
}

static void on_delivered(struct wz_mail *mail)
{
    struct wz_worker_process *process = WZ_CONTAINER(mail, struct wz_worker_process, job.mail);

    process->with_courier = false;
    if (process->exited) {
        end_writing(process);
        process->events.exited(process->events.arg, &process->end);
        return;
    }
    wz_pieces_consume(&process->writing, process->job.written);
    if (wz_pieces_empty(&process->writing))
        go_on(process);
    else
        write_rest(process);
}

// What is gathered is to be written now.
static void begin_writing(struct wz_worker_process *process)
{
    struct wz_pieces swap = process->writing;

    process->writing = process->out;
    process->out = swap;
    process->write_pending = true;
}

// Gives it to the courier, if it is long.
static bool hand_over(struct wz_worker_process *process)
{
    struct wz_courier_job *job = &process->job;
    size_t len;

    if (!process->courier)
        return false;
    job->count = wz_pieces_vector(&process->out, job->pieces, WZ_COURIER_PIECES_MAX, &len);
    job->done = on_delivered;
    process->with_courier = len >= WZ_COURIER_MIN_BYTES &&
                            uv_fileno((uv_handle_t *)&process->pipe, &job->fd) == 0 &&
                            wz_courier_send(process->courier, job);
    return process->with_courier;
}

void wz_worker_process_send(struct wz_worker_process *process)
{
    uv_buf_t vector[WZ_COURIER_PIECES_MAX];
    unsigned count;
    size_t len;
    int n;

    if (wz_pieces_empty(&process->out) || process->write_pending || process->exited)
        return;
    if (hand_over(process)) {
        begin_writing(process);
        return;
    }
    count = wz_pieces_vector(&process->out, vector, WZ_COURIER_PIECES_MAX, &len);
    n = uv_try_write((uv_stream_t *)&process->pipe, vector, count);
    if (n > 0)
        wz_pieces_consume(&process->out, (size_t)n);
    if (wz_pieces_empty(&process->out))
        return;
    begin_writing(process);
    write_rest(process);
}

void wz_worker_process_kill(struct wz_worker_process *process)
{
    if (!process->exited)
        (void)uv_process_kill(&process->process, SIGKILL); // fails when it has just ended
}

int wz_worker_process_pid(const struct wz_worker_process *process)
{
    return uv_process_get_pid(&process->process);
}
