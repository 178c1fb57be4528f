/** The version of the protocol that is spoken: lists of pages in parts, 4 MiB of pages at once with a checksum. */
export const apiVersion = '2020-10-02'
