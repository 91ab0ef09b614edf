# Prints what a Vagrantfile sets for each provider, and fails if a provider has no such setting. `vagrant validate` does not
# look: what it does not know it takes for another plugin's.
#
#   ruby tests/vagrant/settings.rb FOLDER    the folder with the Vagrantfile
require "vagrant"

# The settings of plugins that Debian does not package, by their documentation and sources, for versions of 2025. The others'
# are asked of the plugins themselves.
KNOWN_BY_DOCUMENTATION = {
  # https://parallels.github.io/vagrant-parallels/docs/configuration.html
  parallels: %i[
    check_guest_tools cpus destroy_unused_network_interfaces functional_psf linked_clone linked_clone_snapshot memory name
    optimize_power_consumption regen_src_uuid update_guest_tools
  ],
  # https://developer.hashicorp.com/vagrant/docs/providers/vmware/configuration
  vmware_desktop: %i[
    allowlist_verified base_address base_mac clone_directory cpus enable_vmrun_ip_lookup functional_hgfs gui linked_clone memory
    nat_device port_forward_network_pause ssh_info_public unmount_default_hgfs utility_certificate_path utility_port
    verify_vmnet vmx
  ],
  # https://github.com/naveenrajm7/vagrant_utm, lib/vagrant_utm/config.rb
  utm: %i[check_guest_additions cpus memory name utm_file_url wait_time],
  # https://github.com/ppggff/vagrant-qemu, README
  qemu: %i[
    arch control_port cpu debug_port disk_resize drive_interface extra_drive_args extra_image_opts extra_netdev_args
    extra_qemu_args firmware_format image_path machine memory net_device no_daemonize numactl_args other_default qemu_bin
    qemu_dir smp ssh_auto_correct ssh_host ssh_port
  ],
}.freeze

# Stands for a plugin that is not here: it has these settings, and no others.
KNOWN_BY_DOCUMENTATION.each do |provider, settings|
  known = Class.new(Vagrant.plugin("2", :config)) do
    attr_accessor(*settings)

    def initialize = @vmx = {}
    def customize(*command) = (@customizations ||= []) << command
  end
  Class.new(Vagrant.plugin("2")) do
    name provider.to_s
    config(provider, :provider) { known }
  end
end

environment = Vagrant::Environment.new(cwd: ARGV.fetch(0), ui_class: Vagrant::UI::Silent)
order = environment.vagrantfile.config.vm.instance_variable_get(:@__provider_order)
failed = false
order.each do |provider|
  machine = environment.vagrantfile.machine_config(:default, provider, nil, nil, false)
  settings = machine[:config].vm.get_provider_config(provider)
  abort "#{provider}: there is no plugin here, and its settings are not listed" if settings.nil?
  unknown = settings.instance_variable_get(:@__invalid_methods).to_a
  chosen = settings.instance_variables_hash.reject { |name, value|
    name.start_with?("_") || value == Vagrant::Plugin::V2::Config::UNSET_VALUE || value.nil? || [[], {}, false].include?(value)
  }
  puts "#{provider}: #{machine[:config].vm.box} #{chosen.slice("cpus", "smp", "memory", "arch", "machine", "cpu", "cpu_mode", "vmx", "customizations")}"
  next if unknown.empty?

  failed = true
  warn "#{provider} has no setting #{unknown.sort.join(", ")}"
end
exit 1 if failed
