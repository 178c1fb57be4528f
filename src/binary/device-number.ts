/** Major and minor of a Linux device number as stat gives it (12 + 20 bits, spread as makedev(3) has it): `8:1`. */
export function deviceNumberText(device: bigint): string {
  const major = ((device >> 8n) & 0xfffn) | ((device >> 32n) & ~0xfffn)
  const minor = (device & 0xffn) | ((device >> 12n) & 0xffffff00n)
  return `${major}:${minor}`
}
