/*
 * A Xen of files: what the XenStore daemons of Xen ask Xen's libraries for, answered from one folder, so that they run on
 * plain Linux and a test can play every domain. Loaded with LD_PRELOAD; the folder is named by XEN_OF_FILES.
 *
 *   page-DOMID    the ring page of a domain (struct xenstore_domain_interface), mapped shared
 *   state-DOMID   one word: running, shutdown, crashed or dying; no file, no such domain (domain 0 is always there)
 *   events-in     FIFO: the ports at which the daemon gets an event, four bytes each, in this machine's byte order
 *   events-out    FIFO: the ports that the daemon notifies
 *   port          the port of domain 0's ring, in decimal (Linux: /proc/xen/xsd_port)
 *   run           what oxenstored finds at /var/run/xenstored; the path is compiled into it
 *
 * An event channel has one number, for both of its ends.
 *
 * Why C: the dynamic loader has to find these functions under the names and with the types of Xen's headers. In Rust all of
 * it would be unsafe code, and nothing would check the types.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <xenctrl.h>
#include <xenevtchn.h>
#include <xengnttab.h>

#define PAGE 4096
/* VIRQ_DOM_EXC: some domain has changed its state. No domain's own port is that large. */
#define DOM_EXC_PORT 0x40000000

static const char var_run[] = "/var/run/xenstored";

/* The path of a file of this Xen, in a buffer that the next call overwrites. */
static const char *file(const char *name, long domid)
{
	static char path[PATH_MAX];
	const char *folder = getenv("XEN_OF_FILES");

	if (domid < 0)
		snprintf(path, sizeof(path), "%s/%s", folder ? folder : "", name);
	else
		snprintf(path, sizeof(path), "%s/%s-%ld", folder ? folder : "", name, domid);
	return path;
}

/* Opens without coming back here through the open() below. */
static int open_file(const char *path, int flags)
{
	return openat(AT_FDCWD, path, flags | O_CLOEXEC, 0600);
}

/* ---- domains ---- */

/* Reads a domain's state; 0 if there is no such domain. */
static int state_of(uint32_t domid, char state[16])
{
	int fd = open_file(file("state", domid), O_RDONLY);
	ssize_t length;

	if (fd < 0) {
		strcpy(state, "running");
		return domid == 0;
	}
	length = read(fd, state, 15);
	close(fd);
	state[length < 0 ? 0 : length] = 0;
	return 1;
}

static int a_handle;

xc_interface *xc_interface_open(xentoollog_logger *logger, xentoollog_logger *other, unsigned flags)
{
	return (xc_interface *)&a_handle;
}

int xc_interface_close(xc_interface *xch)
{
	return 0;
}

const xc_error *xc_get_last_error(xc_interface *xch)
{
	static const xc_error none = { .code = XC_ERROR_NONE };

	return &none;
}

const char *xc_error_code_to_desc(int code)
{
	return "error";
}

int xc_domain_getinfo(xc_interface *xch, uint32_t first, unsigned int max, xc_dominfo_t *info)
{
	char state[16];

	if (!max || !state_of(first, state))
		return 0;
	memset(info, 0, sizeof(*info));
	info->domid = first;
	info->running = !strcmp(state, "running");
	info->dying = !strcmp(state, "dying");
	info->crashed = !strcmp(state, "crashed");
	info->shutdown = !strcmp(state, "shutdown") || info->crashed;
	return 1;
}

int xc_domain_getinfolist(xc_interface *xch, uint32_t first, unsigned int max, xc_domaininfo_t *info)
{
	char state[16];

	if (!max || !state_of(first, state))
		return 0;
	memset(info, 0, sizeof(*info));
	info->domain = first;
	if (!strcmp(state, "dying"))
		info->flags = XEN_DOMINF_dying;
	else if (!strcmp(state, "shutdown") || !strcmp(state, "crashed"))
		info->flags = XEN_DOMINF_shutdown;
	else
		info->flags = XEN_DOMINF_running;
	return 1;
}

/* ---- ring pages ---- */

static void *map_page(uint32_t domid)
{
	int fd = open_file(file("page", domid), O_RDWR);
	void *page;

	if (fd < 0) {
		errno = EINVAL;
		return NULL;
	}
	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return page == MAP_FAILED ? NULL : page;
}

void *xc_map_foreign_range(xc_interface *xch, uint32_t domid, int size, int prot, unsigned long mfn)
{
	return map_page(domid);
}

xengnttab_handle *xengnttab_open(xentoollog_logger *logger, unsigned flags)
{
	return (xengnttab_handle *)&a_handle;
}

int xengnttab_close(xengnttab_handle *xgt)
{
	return 0;
}

int xengnttab_set_max_grants(xengnttab_handle *xgt, uint32_t count)
{
	return 0;
}

void *xengnttab_map_grant_ref(xengnttab_handle *xgt, uint32_t domid, uint32_t ref, int prot)
{
	return map_page(domid);
}

int xengnttab_unmap(xengnttab_handle *xgt, void *start, uint32_t count)
{
	return munmap(start, (size_t)count * PAGE);
}

/* ---- event channels ---- */

static int events_in = -1, events_out = -1;

xenevtchn_handle *xenevtchn_open(xentoollog_logger *logger, unsigned int flags)
{
	events_in = open_file(file("events-in", -1), O_RDWR | O_NONBLOCK);
	events_out = open_file(file("events-out", -1), O_RDWR | O_NONBLOCK);
	return events_in < 0 || events_out < 0 ? NULL : (xenevtchn_handle *)&a_handle;
}

xenevtchn_handle *xenevtchn_fdopen(xentoollog_logger *logger, int fd, unsigned flags)
{
	return xenevtchn_open(logger, flags);
}

int xenevtchn_close(xenevtchn_handle *xce)
{
	close(events_out);
	return close(events_in);
}

int xenevtchn_fd(xenevtchn_handle *xce)
{
	return events_in;
}

int xenevtchn_notify(xenevtchn_handle *xce, evtchn_port_t port)
{
	/* A full FIFO wakes its reader all the same. */
	if (write(events_out, &port, sizeof(port)) < 0 && errno != EAGAIN)
		return -1;
	return 0;
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *xce, uint32_t domid, evtchn_port_t port)
{
	char state[16];

	if (state_of(domid, state))
		return port;
	errno = EINVAL;
	return -1;
}

xenevtchn_port_or_error_t xenevtchn_bind_virq(xenevtchn_handle *xce, unsigned int virq)
{
	return DOM_EXC_PORT;
}

int xenevtchn_unbind(xenevtchn_handle *xce, evtchn_port_t port)
{
	return 0;
}

xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *xce)
{
	evtchn_port_t port;

	return read(events_in, &port, sizeof(port)) == sizeof(port) ? (xenevtchn_port_or_error_t)port : -1;
}

int xenevtchn_unmask(xenevtchn_handle *xce, evtchn_port_t port)
{
	return 0;
}

/* ---- what is not Xen's but the system's ---- */

/* Where a path really is: below /var/run/xenstored only root may write, and every daemon of a machine would meet there. */
static const char *real_path(const char *path)
{
	static char moved[PATH_MAX + sizeof(var_run)];

	if (!strcmp(path, "/proc/xen/xsd_port"))
		return file("port", -1);
	if (!strcmp(path, "/proc/xen/xsd_kva"))
		return file("page", 0);
	if (strncmp(path, var_run, sizeof(var_run) - 1))
		return path;
	snprintf(moved, sizeof(moved), "%s%s", file("run", -1), path + sizeof(var_run) - 1);
	return moved;
}

int open(const char *path, int flags, ...)
{
	va_list arguments;
	mode_t mode;

	va_start(arguments, flags);
	mode = va_arg(arguments, mode_t);
	va_end(arguments);
	return openat(AT_FDCWD, real_path(path), flags, mode);
}

int mkdir(const char *path, mode_t mode)
{
	return mkdirat(AT_FDCWD, real_path(path), mode);
}

int unlink(const char *path)
{
	return unlinkat(AT_FDCWD, real_path(path), 0);
}

int bind(int fd, const struct sockaddr *address, socklen_t length)
{
	struct sockaddr_un moved = { .sun_family = AF_UNIX };

	if (address->sa_family == AF_UNIX) {
		const char *path = real_path(((const struct sockaddr_un *)address)->sun_path);

		if (strlen(path) >= sizeof(moved.sun_path)) {
			errno = ENAMETOOLONG;
			return -1;
		}
		strcpy(moved.sun_path, path);
		address = (const struct sockaddr *)&moved;
		length = sizeof(moved);
	}
	return syscall(SYS_bind, fd, address, length);
}

/* oxenstored wants more files than an ordinary user may open, and stops if it does not get them. */
int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
	syscall(SYS_setrlimit, resource, limit);
	return 0;
}

/*
 * The C daemon lets a guest write 200 times a second while a transaction is open, and delays the rest. Tests have no time
 * for that: with XEN_OF_FILES_HURRY=N its clock runs N times as fast.
 */
int clock_gettime(clockid_t clock, struct timespec *time)
{
	static int (*real)(clockid_t, struct timespec *);
	static long hurry;
	long long nanoseconds;
	int result;

	if (!real) {
		const char *asked = getenv("XEN_OF_FILES_HURRY");

		hurry = asked ? atol(asked) : 1;
		real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	}
	result = real(clock, time);
	if (result || hurry == 1 || clock != CLOCK_MONOTONIC)
		return result;
	nanoseconds = (time->tv_sec * 1000000000LL + time->tv_nsec) * hurry;
	time->tv_sec = nanoseconds / 1000000000;
	time->tv_nsec = nanoseconds % 1000000000;
	return 0;
}
