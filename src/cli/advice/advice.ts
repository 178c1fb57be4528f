/** Of an error code: why vdisk stops there, and what can be done where the error itself does not say better. */
export type Advice = readonly [why: string, remedy: string]
