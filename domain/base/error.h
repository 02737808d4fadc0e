/* Why something could not be done, in one line for people: whoever fails writes it, and whoever
 * asked passes it on or shows it. */
#ifndef DOMAIN_BASE_ERROR_H
#define DOMAIN_BASE_ERROR_H

#define ERROR_BYTES 512 /* of such a line, its end counted; a longer one is cut */

#endif
