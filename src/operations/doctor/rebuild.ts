import type { Guest } from './guest.js'
import type { StartedKernel } from './started-kernel.js'

/** How the guest makes a new initramfs. */
export function rebuild(
  guest: Guest,
  { version, entry }: Pick<StartedKernel, 'version' | 'entry'>,
  modules: readonly string[],
): string {
  const kernel = version ?? '$(uname -r)'
  const text = makerText(guest, kernel, modules)
  return entry.unified === undefined
    ? text
    : `${text}${text.endsWith('.') ? '' : '.'} Then build ${entry.kernel ?? 'the unified kernel image'} again ` +
        `(kernel-install add ${kernel} /boot/vmlinuz-${kernel}, or ukify).`
}

function makerText(guest: Guest, kernel: string, modules: readonly string[]): string {
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
