/** Whether an OVA is to be made: as the format says, or else the target's name. */
export function isAppliance(to: string | undefined, name: string | undefined): boolean {
  return to === undefined ? /\.ova$/i.test(name ?? '') : to === 'ova'
}
