/* Which TCP ports of this machine a new cluster can have. */
#ifndef SYNOD_DEPLOY_PORTS_H
#define SYNOD_DEPLOY_PORTS_H

#include "common/base/error.h"
#include "common/config/config.h"

/* Tries to listen on every address of cfg for a moment. 0, or ERROR_BUSY or ERROR_USAGE with a
 * sentence that names the member and the address. */
int ports_check(const struct config *cfg, struct errmsg *err) MUST_USE;

/* Finds a port base from LOCAL_PORT_BASE_DEFAULT upwards at which a cluster shaped like cfg finds
 * every port free. *reservation is a descriptor that keeps another `synod dev` from choosing the
 * same base as long as it is open. ERROR_BUSY if there is none. */
int ports_pick(const struct config *cfg, uint32_t *port_base, int *reservation,
               struct errmsg *err) MUST_USE;

#endif
