import type { Guest } from './guest.js'

/** How the guest makes a new initramfs. */
export function rebuild(guest: Guest, version: string | undefined, modules: readonly string[]): string {
  const kernel = version ?? '$(uname -r)'
  if (guest.has('/etc/initramfs-tools'))
    return [
      ...modules.map((name) => `echo ${name} >> /etc/initramfs-tools/modules`),
      `update-initramfs -u -k ${kernel}`,
    ].join(' && ')
  if (guest.has('/usr/lib/dracut') || guest.has('/etc/dracut.conf'))
    return modules.length === 0
      ? `dracut --force --kver ${kernel}`
      : `dracut --force --add-drivers '${modules.join(' ')}' --kver ${kernel}`
  return `Make the initramfs of ${kernel} anew${modules.length === 0 ? '' : ` with ${modules.join(', ')}`}.`
}
